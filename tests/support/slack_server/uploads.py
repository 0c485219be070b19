"""Files: up in three steps, looked at by Slack in its own time, and down for those with a token."""

from aiohttp import web

from tests.support.slack_server import payloads
from tests.support.slack_server.chat import Chat
from tests.support.slack_server.faults import Call, LoginPage, Redirect, Refused
from tests.support.slack_server.rooms import Method, room
from tests.support.slack_server.state import File, Json, Message, parts

LOGIN = "<!DOCTYPE html><html><title>Sign in to Workshop | Slack</title></html>"
ALT_TXT = 1_000  # characters; docs.slack.dev, files.getUploadURLExternal


class Uploads:
    """The methods of files."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.world = chat.world
        self.polls = 1  # how often files.info says "not yet"
        self.alt_txt_breaks_sharing = True  # as others met it: such a file never comes to its channel

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {
            "files.getUploadURLExternal": self._address,
            "files.completeUploadExternal": self._complete,
            "files.info": self._info,
            "files.delete": self._delete,
        }

    def process(self) -> None:
        """Slack has looked at every file that is complete."""
        for file in list(self.world.files.values()):
            if file.complete:
                file.polls = 0
                self._share(file)

    def receive(self, identity: str, data: bytes) -> web.Response:
        """The second step: the bytes themselves."""
        file = self.world.files.get(identity)
        if file is None or file.uploaded:
            return web.Response(status=404, text="no such upload")
        if len(data) != file.length:
            self.world.violations.append(f"upload of {file.name!r}: {len(data)} bytes, {file.length} were announced")
            return web.Response(status=400, text="wrong length")
        file.data, file.uploaded = data, True
        return web.Response(text=f"OK - {len(data)}")

    def download(self, identity: str, authorized: bool, fault: LoginPage | Redirect | None) -> web.Response:
        """A file, or a page to log in, with the same 200."""
        file = self.world.files.get(identity)
        if isinstance(fault, Redirect):
            elsewhere = f"{self.world.url.replace('127.0.0.1', 'localhost')}/elsewhere/{identity}"
            return web.Response(status=302, headers={"Location": fault.to or elsewhere})
        if fault is not None or not authorized:
            return web.Response(text=LOGIN, content_type="text/html")
        if file is None or not file.ready:
            return web.Response(status=404, text="not found")
        return web.Response(body=file.data, content_type=payloads.kind(file))

    def _address(self, call: Call) -> Json:
        if len(str(call.args.get("alt_txt") or "")) > ALT_TXT:
            raise Refused("alt_txt_too_large")
        file = File(self.world.id("F"), str(call.args["filename"]), self.world.bot, length=int(call.args["length"]))
        file.polls, file.alt_txt = self.polls, call.args.get("alt_txt")
        self.world.files[file.id] = file
        return {"file_id": file.id, "upload_url": f"{self.world.url}/upload/v1/{file.id}"}

    def _complete(self, call: Call) -> Json:
        place = call.args.get("channel_id") or call.args.get("channels")
        if place:
            room(self.world, str(place))
        if any(part.get("type") == "markdown" for part in parts(call.args.get("blocks"))):
            raise Refused("internal_error")  # as Slack answers to a markdown block here
        files = [self.world.files.get(str(one["id"])) for one in call.args["files"]]
        if any(file is None or not file.uploaded or file.complete for file in files):
            raise Refused("file_not_found")
        output = []
        for file, said in zip(files, call.args["files"], strict=True):
            assert file is not None
            file.complete, file.title = True, str(said.get("title") or file.name)
            file.share = call.args | {"channel": place} if place else None
            self._share(file)
            output.append(payloads.file(self.world, file))
        return {"files": output}

    def _info(self, call: Call) -> Json:
        file = self._file(call)
        if file.complete and file.polls > 0:
            output = payloads.file(self.world, file)
            file.polls -= 1
        else:
            self._share(file)
            output = payloads.file(self.world, file, inside=False)
        return {"file": output, "comments": [], "response_metadata": {"next_cursor": ""}}

    def _delete(self, call: Call) -> Json:
        file = self._file(call)
        if file.owner is not self.world.bot:
            raise Refused("cant_delete_file")
        del self.world.files[file.id]
        return {}

    def _file(self, call: Call) -> File:
        file = self.world.files.get(str(call.args["file"]))
        if file is None:
            raise Refused("file_not_found")
        return file

    def _share(self, file: File) -> None:
        """Share the files in their channels after Slack has processed them."""
        if file.share is None or not file.ready or (file.alt_txt is not None and self.alt_txt_breaks_sharing):
            return
        wanted, file.share = file.share, None
        channel = room(self.world, str(wanted["channel"]))
        thread = self.chat.thread(channel, wanted.get("thread_ts"))
        message = Message(self.world.ts(), channel, self.world.bot, thread_ts=thread, subtype="file_share")
        message.text = str(wanted.get("initial_comment") or "")
        if not message.text:  # a comment makes Slack forget the blocks
            message.blocks = payloads.with_ids(self.world, wanted.get("blocks"))
        message.files = [file]
        file.shares.append(message)
        self.chat.keep(message)
        self.chat.events.shared(file, channel)
