"""What people do with the bot on Discord, in a simulated one."""

from pathlib import Path

from tests.discord_sim import house, labels, pictures, png

SUN = ["Here it is: ", "<image>a sun</image>", " Enjoy!"]


async def test_a_mention_opens_a_thread_with_words_and_pictures_in_their_places(tmp_path: Path) -> None:
    """Each picture stands where the model put it, with its number, alt text and buttons."""
    async with house(tmp_path, SUN) as here:
        thread = await here.draw()
        assert thread.name == "draw a sun"
        words, picture, rest = thread.history()
        assert (words.content, rest.content) == ("Here it is:", "Enjoy!")
        assert picture.content.startswith("**#1**")
        (file,) = picture.attachments
        assert (file.filename, file.description) == ("a-sun.png", "#1: a sun")
        assert labels(picture) == ["Vary", "Edit", "Redo", "Details", "Delete"]


async def test_a_reply_to_a_picture_edits_that_very_picture(tmp_path: Path) -> None:
    """Without a mention, and whoever made it; two replies make two branches."""
    edit = ["<edit>a red sun</edit>"]
    async with house(tmp_path, SUN, edit, edit) as here:
        thread = await here.draw()
        (first,) = pictures(thread)
        for who, number in ((here.ann, 2), (here.bob, 3)):
            asked = await who.send(thread, "make it red", reply_to=first)
            await here.final(asked.id)
            edited = here.store.pictures(here.store.entry(str(asked.id)).thread)[-1]  # type: ignore[union-attr]
            assert (edited.number, edited.parent) == (number, 1)
