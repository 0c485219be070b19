"""Pictures that are kept for some minutes: found again, let go in time, and never trusted blindly."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bot.domain import Operation, Sampling
from render.models.image_files import encode_png
from render.protocol import ImageDone, ImageTask, WorkerReport
from render.worker.result_cache import MAX_AGE, ResultCache, default_folder
from tests.support.fake_models.gated import READY, picture

TASK = ImageTask(
    "a",
    Operation.EDIT,
    "é \ud800",
    sampling=Sampling(seed=7, size=(512, 768), num_inference_steps=20, guidance_scale=3.5),
    source=b"source",
)
MADE = picture(replace(TASK, prompt="é"))


def put(cache: ResultCache, *seeds: int, size: int = 1000) -> None:
    """Keep a picture for each seed."""
    for seed in seeds:
        cache.put(replace(TASK, sampling=replace(TASK.sampling, seed=seed)), READY, bytes(size))


def age(folder: Path, seconds: float) -> None:
    """Make every file so much older."""
    for path in folder.iterdir():
        about = path.stat()
        os.utime(path, (about.st_atime - seconds, about.st_mtime - seconds))


def found(cache: ResultCache, *seeds: int) -> list[int]:
    """The seeds whose pictures are there."""
    return [seed for seed in seeds if cache.find(replace(TASK, sampling=replace(TASK.sampling, seed=seed)), READY)]


def test_a_picture_is_found_under_another_name_and_by_another_process(tmp_path: Path) -> None:
    """The task's name and the wished model do not matter; width and height are read from the file."""
    ResultCache(tmp_path).put(TASK, READY, MADE.png)
    again = replace(TASK, id="b", sampling=replace(TASK.sampling, model="flat"))
    assert ResultCache(tmp_path).find(again, READY) == replace(MADE, task="b")


def test_how_it_was_made_is_found_again_too(tmp_path: Path) -> None:
    """The file itself tells it."""
    png = encode_png(Image.new("RGB", (8, 4)), {"Way": "image to image", "Notes": "One.\nTwo."})
    ResultCache(tmp_path).put(TASK, READY, png)
    made = ResultCache(tmp_path).find(TASK, READY)
    assert made == ImageDone("a", png, 8, 4, READY.model, "image to image", ("One.", "Two."))


@pytest.mark.parametrize(
    ("task", "slots"),
    [
        (replace(TASK, operation=Operation.REFINE), READY),
        (replace(TASK, prompt="e"), READY),
        (replace(TASK, sampling=replace(TASK.sampling, seed=8)), READY),
        (replace(TASK, source=b"other"), READY),
        (replace(TASK, source=None), READY),
        (replace(TASK, change="large"), READY),
        (replace(TASK, sampling=replace(TASK.sampling, lora="a.safetensors")), READY),
        (replace(TASK, sampling=replace(TASK.sampling, size=None)), READY),
        (replace(TASK, sampling=replace(TASK.sampling, size=(513, 768))), READY),
        (replace(TASK, sampling=replace(TASK.sampling, size=(512, 769))), READY),
        (replace(TASK, sampling=replace(TASK.sampling, num_inference_steps=21)), READY),
        (replace(TASK, sampling=replace(TASK.sampling, guidance_scale=3.6)), READY),
        (TASK, replace(READY, revision="2")),
        (TASK, replace(READY, model="other")),
    ],
)
def test_everything_that_decides_the_look_decides_the_key(tmp_path: Path, task: ImageTask, slots: WorkerReport) -> None:
    """A picture is not mistaken for that of any other task or model."""
    cache = ResultCache(tmp_path)
    cache.put(TASK, READY, MADE.png)
    assert cache.find(TASK, READY)
    assert cache.find(task, slots) is None


def test_a_picture_is_kept_for_ten_minutes(tmp_path: Path) -> None:
    """Then it is not found, and with the next picture it is gone."""
    cache = ResultCache(tmp_path)
    put(cache, 1)
    age(tmp_path, MAX_AGE - 60)
    assert found(cache, 1) == [1]
    age(tmp_path, 61)
    assert found(cache, 1) == []
    put(cache, 2)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_oldest_make_room(tmp_path: Path) -> None:
    """All pictures together never take more than they may, and one that alone is too large is not kept."""
    cache = ResultCache(tmp_path, max_bytes=3500)
    for seed in range(6):
        age(tmp_path, 1)
        put(cache, seed)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3500
    assert found(cache, *range(6)) == [3, 4, 5]
    put(cache, 7, size=4000)
    assert found(cache, 7) == []


def test_a_draft_that_a_dead_process_left_goes_in_time(tmp_path: Path) -> None:
    """It is never taken for a picture."""
    cache = ResultCache(tmp_path)
    (tmp_path / "0123.draft").write_bytes(b"half a pict")
    age(tmp_path, MAX_AGE + 1)
    put(cache, 1)
    assert [path.suffix for path in tmp_path.iterdir()] == [""]


@pytest.mark.parametrize("cut", [0, 10, 40, -1], ids=["empty", "half a digest", "head only", "one byte less"])
def test_a_damaged_file_is_no_picture(tmp_path: Path, cut: int) -> None:
    """It is taken away, and the picture can be kept anew."""
    cache = ResultCache(tmp_path)
    cache.put(TASK, READY, MADE.png)
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:cut])
    assert cache.find(TASK, READY) is None
    assert not list(tmp_path.iterdir())
    cache.put(TASK, READY, MADE.png)
    assert cache.find(TASK, READY) == replace(MADE, task=TASK.id)


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    """Whatever the disk did, people get the picture or none."""
    cache = ResultCache(tmp_path)
    cache.put(TASK, READY, MADE.png)
    [path] = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    assert cache.find(TASK, READY) is None


def test_a_disk_that_takes_nothing_is_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that is gone, as a full disk would, costs the repeated work and nothing else."""
    folder = tmp_path / "results"
    cache = ResultCache(folder)
    folder.rmdir()
    cache.put(TASK, READY, MADE.png)
    assert cache.find(TASK, READY) is None
    assert "cannot be kept" in caplog.text


def test_the_folder_is_for_one_user(tmp_path: Path) -> None:
    """Others can neither look into it nor put pictures there; a link to elsewhere, or a file, is refused."""
    folder = tmp_path / "results"
    folder.mkdir(mode=0o777)
    ResultCache(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    (tmp_path / "file").touch()
    for wrong in ("link", "file"):
        with pytest.raises(OSError, match=wrong):
            ResultCache(tmp_path / wrong)
    assert str(os.getuid()) in default_folder().name
