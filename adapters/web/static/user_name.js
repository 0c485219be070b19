/** The name of the user, which the browser stores. */

let guest;

/** Returns the stored name, or a guest name. If storage is blocked, the guest name lasts as long as the page. */
export function storedName() {
  guest ??= `Guest-${100 + Math.floor(Math.random() * 900)}`;
  try {
    const name = localStorage.getItem("name") ?? guest;
    localStorage.setItem("name", name);
    return name;
  } catch {
    return guest;
  }
}

export function storeName(name) {
  try {
    localStorage.setItem("name", name);
  } catch {
    guest = name;
  }
}
