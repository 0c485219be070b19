"""What is on record is enough to paint a picture again, bit for bit, on the same engine."""

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("torch", reason="the worker needs the render extra")

from bot.domain import ImageRequest, Operation
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.diffusion.diffusers_model import DiffusersModel
from render.protocol import Batch, ImageDone, WorkerEvent
from render.queue.job_mapping import to_image_task, to_picture
from tests.support.doubles import claimed, message


def painted(image_model: DiffusersModel, store: Store, files: PictureFiles, job_id: str) -> ImageDone:
    """The picture that the job on record comes to."""
    job = store.jobs.job(job_id)
    assert job
    start = store.picture(job.thread, job.request.source) if job.request.source else None
    output: list[WorkerEvent] = []
    source = files.read(start.digest) if start else None
    image_model.render(
        Batch([to_image_task(replace(job, source_digest=start.digest if start else None), source, None)]),
        output.append,
        Event(),
    )
    return next(event for event in output if isinstance(event, ImageDone))


def test_a_picture_and_its_edit_are_painted_again(tmp_path: Path) -> None:
    """The second time from the record alone, in another studio: the files are the same."""
    store, files = Store(tmp_path / "db.sqlite"), PictureFiles(tmp_path / "pictures")
    sun = ImageRequest(0, Operation.GENERATE, "a large yellow circle on a blue background")
    red = ImageRequest(0, Operation.EDIT, "a large red circle on a blue background", source=1)
    first = DiffusersModel("builtin", "cpu")
    for message_id, request in (("m1", sun), ("m2", red)):
        store.accept(message(message_id, request.prompt))
        job = claimed(store, store.jobs.order(message_id, request, request.source))
        made = painted(first, store, files, job.id)
        assert store.jobs.mark_rendered(job, to_picture(job, made, files.put(made.png)))
    again = DiffusersModel("builtin", "cpu")
    for kept in store.pictures(message("m1", "").thread):
        made = painted(again, store, files, f"m{kept.number}.0")
        assert files.put(made.png) == kept.digest
    store.close()
