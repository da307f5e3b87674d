"""The parts of tests.campaign: sound files, and what is made of them."""

import contextlib
import gzip
import importlib.util
import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

import cv2
import h5py
import numpy as np
import tensorflow as tf
from scipy.io import savemat

from keras_pose import (
    console,
    converters,
    estimator,
    evaluate,
    export,
    photographs,
    portable,
    predict,
)
from keras_pose.crowd_skeletons import CROWDPOSE, POSETRACK
from keras_pose.data import annotations, dataset, reading, records
from keras_pose.models import model as models
from keras_pose.report import history, learning, write
from keras_pose.training import folder as runs
from tests.campaign import STRANGE, Case, damage, distort
from tests.fixtures import Oracle
from tests.tfrecords import test_mpii
from tfrecords import (
    check,
    coco,
    combine,
    crowdpose,
    crowds,
    flic,
    lsp,
    mpii,
    posetrack,
    shards,
    yolo,
)
from tfrecords import csv as table

JOINTS = np.stack([np.linspace(20, 60, 16), np.linspace(15, 50, 16)], axis=-1)
SECRET = "secret.jpg"
"""Lies beside the folders that annotations name, never in them."""


def jpeg(seed=0, shape=(64, 96), *flags):
    rng = np.random.default_rng(seed)
    picture = cv2.blur(rng.integers(0, 256, (*shape, 3), "uint8"), (5, 5))
    return cv2.imencode(".jpg", picture, flags)[1].tobytes()


def make_picture(number):
    """A task of the sound data set."""
    person = records.Person(
        JOINTS, np.full(16, 2), np.array([40.0, 32]), 0.2, 9.0, name=f"{number}"
    )
    return records.Picture(
        jpeg(number), (64, 96), (person,), f"{number}.jpg", np.eye(3)[:2]
    )


class Part:
    """Has sound files in `folder`/sound, and makes cases in `folder`/case."""

    def __init__(self, folder):
        self.sound, self.case = folder / "sound", folder / "case"
        self.sound.mkdir()
        (folder / SECRET).write_bytes(jpeg(99))
        self.prepare()

    def again(self):
        """A fresh copy of the sound files."""
        shutil.rmtree(self.case, ignore_errors=True)
        shutil.copytree(self.sound, self.case, symlinks=True)

    def spoil(self, rng, path):
        """Damages a file, one of JSON also in its values; says how."""
        content = path.read_bytes()
        packed = path.suffix == ".gz"
        value = None
        if path.suffix in (".json", ".gz") and rng.random() < 0.6:
            with contextlib.suppress(ValueError):  # it may be damaged already
                value = json.loads(
                    gzip.decompress(content) if packed else content
                )
        if value is not None:
            value, where = distort(rng, value)
            text = json.dumps(value).encode()
            path.write_bytes(gzip.compress(text) if packed else text)
            return f"{path.name}: another {where}"
        content, how = damage(rng, content)
        path.write_bytes(content)
        return f"{path.name}: {how}"


class Records(Part):
    """Shards, their index and dataset.json: the same bytes, or a refusal."""

    combines = True
    """Whether `tfrecords.combine` takes such records."""

    def prepare(self):
        tasks = {"train": [0, 1, 2, 3], "val": [4, 5]}
        shards.save(
            self.sound, tasks, make_picture, skeleton="mpii", protocol="pckh",
            workers=1, command="python -m tfrecords.campaign",
        )  # fmt: skip
        self.expected = self.read(self.sound)
        self.again()
        self.combined = self.combine()

    def read(self, folder):
        reading._opened.clear()
        data = dataset.open_dataset(folder)
        found = {}
        for split in data.splits:
            index = reading.open_split(data, split)
            annotations.read_people(data, split)
            found[split] = index.read(np.arange(len(index))).tolist()
        return found

    def draw(self, rng, number):
        self.again()
        files = sorted(self.case.iterdir())
        path = files[rng.integers(len(files))]
        if rng.random() < 0.3:
            path = self.case / dataset.DESCRIPTION
        name = self.spoil(rng, path)
        way = rng.random()
        if way < 0.2:
            config = check.Config(self.case)
            return Case(f"check, {name}", lambda: check.main(config), "case")
        if way < 0.4 and self.combines:
            call = self.combine
            return Case(f"combine, {name}", call, ("case", "--"), self.mixes)
        call = lambda: self.read(self.case)  # noqa: E731
        return Case(name, call, "case", self.differs)

    def combine(self):
        """The records of the sound set, and of the case as more of train."""
        reading._opened.clear()
        output = self.case.with_name("combined")
        shutil.rmtree(output, ignore_errors=True)
        combine.main(
            combine.Config(
                data=(self.sound, self.case),
                output=output,
                workers=1,
                splits=("train=sound:train,case:train", "val=sound:val"),
            )  # fmt: skip
        )
        return self.read(output)

    def mixes(self, found):
        same = found == self.combined
        return "" if same else "other records than of the sound set"

    def differs(self, found):
        same = all(
            content in self.expected.values() for content in found.values()
        )
        return "" if same else "other records than were written"


class Crowds(Records):
    """Records of whole pictures, with masks, tracks and clips."""

    combines = False

    def prepare(self):
        crowds.main(
            crowds.Config(
                str(self.sound),
                4,
                2,
                0,
                size=(48, 64),
                people=(2, 3),
                clip=2,
                videos=0,
                workers=1,
            )  # fmt: skip
        )
        self.expected = self.read(self.sound)


class Boxes(Part):
    """A detector's boxes: those of the photographs that are asked for."""

    def prepare(self):
        self.photos = [Path("a/000000000001.jpg"), Path("b.jpg")]
        rows = ["file,x,y,width,height,score", "b.jpg,1,2,30,40,0.5"]
        (self.sound / "boxes.csv").write_text("\n".join([*rows, ""]))
        rows = ["frame,x,y,width,height", "0,1,2,30,40", "3,1,2,30,40"]
        (self.sound / "frames.csv").write_text("\n".join([*rows, ""]))
        box = {"bbox": [1, 2, 30, 40], "score": 0.5, "category_id": 1}
        results = [box | {"image_id": 1}, box | {"file_name": "b.jpg"}]
        (self.sound / "results.json").write_text(json.dumps(results))
        images = [{"id": 1, "file_name": "b.jpg"}]
        truth = {"images": images, "annotations": results[:1]}
        (self.sound / "truth.json").write_text(json.dumps(truth))

    def draw(self, rng, number):
        self.again()
        files = sorted(self.case.iterdir())
        path = files[rng.integers(len(files))]
        name = self.spoil(rng, path)
        if path.name == "frames.csv":
            return Case(
                name, lambda: photographs.read_frame_boxes(path), path.name,
                lambda found: self.look(found, range(2**53)),
            )  # fmt: skip

        def call():
            found = photographs.read_boxes(path, self.photos)
            for rows in found.values():
                estimator.check_boxes(rows, (64, 96), path)
            return found

        return Case(
            name, call, path.name, lambda found: self.look(found, self.photos)
        )

    def look(self, found, allowed):
        good = found and all(name in allowed for name in found)
        rows = np.array(sum(found.values(), []), float)
        good = good and rows.shape[1] == 5 and np.isfinite(rows).all()
        return "" if good else "boxes of nobody"


class Annotations(Part):
    """Files of annotations: refused, or records of the folder's photographs."""

    def prepare(self):
        images = self.sound / "images"
        images.mkdir()
        for number, name in enumerate(["im0001.jpg", "im0002.jpg", "b.jpg"]):
            (images / name).write_bytes(jpeg(number))
        shutil.copytree(images, self.sound / "val2017")
        row = test_mpii.row
        rows = [
            row("im0001.jpg", 1),
            row("b.jpg", 1, 1.0),
            row("b.jpg", 2, 1.0),
        ]
        for entry in rows:
            entry["joint_self"] = [[x, y, 1.0] for x, y in JOINTS.tolist()]
            entry["objpos"] = [40.0, 30.0]
        text = json.dumps(rows).encode()
        (self.sound / "mpii.json").write_bytes(text)
        (self.sound / "mpii.json.gz").write_bytes(gzip.compress(text))
        values = np.stack([*JOINTS[:14].T, np.zeros(14)])[..., None]
        values = values.repeat(2, axis=2)
        savemat(self.sound / "joints.mat", {"joints": values})
        self.write_release()
        for name in flic.FILES.values():
            with h5py.File(self.sound / name, "w") as file:
                file["imgname"] = np.array(["im0001.jpg", "b.jpg"], "S")
                file["part"] = np.stack([JOINTS[:11]] * 2)
                file["visible"] = np.ones((2, 11))
                file["center"] = np.full((2, 2), 40.0)
                file["scale"], file["index"] = np.full(2, 0.3), np.arange(2)
        keypoints = np.ones((17, 3)) * [30, 20, 2] + np.arange(17)[:, None]
        keypoints[:, 2] = 2
        people = [
            {
                "id": 10 + image, "image_id": image, "category_id": 1,
                "iscrowd": 0, "num_keypoints": 17, "area": 500.0,
                "bbox": [20.0, 10.0, 40.0, 50.0],
                "keypoints": keypoints.ravel().astype(int).tolist(),
            }
            for image in (1, 2)
        ]  # fmt: skip
        images = [
            {"id": 1, "file_name": "b.jpg", "width": 96, "height": 64},
            {"id": 2, "file_name": "im0001.jpg", "width": 96, "height": 64},
        ]
        content = {"images": images, "annotations": people}
        path = self.sound / "person_keypoints_val2017.json"
        path.write_text(json.dumps(content))
        detected = [
            {"image_id": n, "category_id": 1, "bbox": [20, 10, 40, 50],
             "score": 0.9}
            for n in (1, 2)
        ]  # fmt: skip
        (self.sound / "detected.json").write_text(json.dumps(detected))
        self.write_crowds(images, keypoints)
        rows = ["image,person,joint,x,y,flag,split"] + [
            f"{name},{who},{joint},{x},{y},2,{split}"
            for name, split in (("b.jpg", "train"), ("im0001.jpg", "val"))
            for who in (1, 2)
            for joint, x, y in (("nose", 30, 20), ("tail", 50, 40))
        ]
        (self.sound / "joints.csv").write_text("\n".join([*rows, ""]))
        for split in ("train", "val"):
            for kind in ("images", "labels"):
                (self.sound / "yolo" / kind / split).mkdir(parents=True)
            folder = self.sound / "yolo"
            (folder / "images" / split / "a.jpg").write_bytes(jpeg(5))
            (folder / "labels" / split / "a.txt").write_text(
                "0 0.5 0.5 0.5 0.25 0.25 0.5 2 0.75 0.5 1 0 0 0\n"
            )
        (self.sound / "yolo" / "data.yaml").write_text(
            "train: images/train\nval: images/val\nkpt_shape: [3, 3]\n"
            "flip_idx: [0, 2, 1]\nnames:\n  0: fox\n"
        )

    def write_crowds(self, images, keypoints):
        """The files of CrowdPose and PoseTrack18, of the same people."""
        for joints, name, more in (
            (CROWDPOSE.joints, "crowdpose_val.json", {}),
            (POSETRACK.joints, "annotations/val/clip.json", {"track_id": 3}),
        ):
            path = self.sound / name
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [
                {
                    "id": 10 + image["id"], "image_id": image["id"],
                    "category_id": 1, "iscrowd": 0,
                    "bbox": [20.0, 10.0, 40.0, 50.0],
                    "keypoints": keypoints[: len(joints)].ravel().tolist(),
                } | more
                for image in images
            ]  # fmt: skip
            shown = images
            if more:
                shown = []
                for image in images:
                    frame = f"images/val/clip/{image['id']:06d}.jpg"
                    target = self.sound / frame
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(jpeg(image["id"]))
                    region = {"ignore_regions_x": [[1, 9, 9]]}
                    region["ignore_regions_y"] = [[1, 1, 9]]
                    shown.append(image | region | {"file_name": frame})
            category = {"id": 1, "name": "person", "keypoints": [*joints]}
            content = {"categories": [category], "images": shown}
            content["annotations"] = rows
            path.write_text(json.dumps(content))

    def write_release(self):
        whole = {
            "annopoints": test_mpii.points(), "scale": 0.3,
            "objpos": test_mpii.place(40, 30),
        }  # fmt: skip
        annolist = test_mpii.structs(
            *(
                {
                    "image": test_mpii.image(name),
                    "annorect": test_mpii.structs(whole | test_mpii.HEAD),
                }
                for name in ["im0001.jpg", "im0002.jpg", "b.jpg"]
            )
        )
        content = {"annolist": annolist, "img_train": np.ones((1, 3), "uint8")}
        savemat(self.sound / "release.mat", {"RELEASE": content})

    def draw(self, rng, number):
        self.again()
        output = self.case / "out"
        common = {
            "output": output, "workers": 1,
            "allow_missing": bool(rng.random() < 0.5),
        }  # fmt: skip
        kind = ("mpii.json", "mpii.json.gz", "release.mat", "joints.mat")
        kind += ("valid_personcentric.h5", "person_keypoints_val2017.json")
        kind += ("detected.json", "crowdpose_val.json", "joints.csv")
        kind += ("annotations/val/clip.json", "yolo/data.yaml")
        kind += ("yolo/labels/val/a.txt",)
        path = self.case / kind[rng.integers(len(kind))]
        name = self.spoil(rng, path)
        if path.name == "joints.csv":
            module = table
            config = table.Config(
                source=path, images=self.case / "images", **common
            )
        elif "yolo" in path.parts:
            module = yolo
            config = yolo.Config(
                source=self.case / "yolo", joints=("tail", "east", "west"),
                **common,
            )  # fmt: skip
        elif path.name == "crowdpose_val.json":
            module = crowdpose
            words = (f"val={path.name}",)
            config = crowdpose.Config(
                source=self.case, annotations=words, **common
            )
        elif path.name == "clip.json":
            module = posetrack
            config = posetrack.Config(source=self.case, **common)
        elif path.suffix == ".h5":
            module, config = flic, flic.Config(source=self.case, **common)
        elif path.name == "joints.mat":
            module = lsp
            splits = ("train=1-1", "val=2-2")
            config = lsp.Config(source=self.case, splits=splits, **common)
        elif "keypoints" in path.name or path.name == "detected.json":
            module = coco
            words = ("val=person_keypoints_val2017.json",)
            forms = [{}, {"one_per_picture": True}]
            more = forms[rng.integers(2)]
            if path.name == "detected.json":
                more = {"boxes": path}
            config = coco.Config(
                source=self.case, annotations=words, **common, **more
            )
        else:
            module = mpii
            split = "random5pct" if path.suffix == ".mat" else "tompson2958"
            config = mpii.Config(source=path, val_split=split, **common)
        says = (path.name, "missing.txt", "holds no people", "no such folder")
        says += ("case/yolo ",)
        return Case(
            name, lambda: module.main(config), says,
            lambda _: self.reached(output),
        )  # fmt: skip

    def reached(self, output):
        reading._opened.clear()
        data = dataset.open_dataset(output)
        for split in data.splits:
            if not data.description["splits"][split]["people"]:
                continue
            index = reading.open_split(data, split)
            for record in index.read(np.arange(len(index))):
                picture, image = check.inspect(record, data)
                if picture.source == SECRET or len(image) > 64:
                    return "a record of another photograph"
        return ""


class Photographs(Part):
    """Photographs of every form: joints are numbers, or the file is refused."""

    def prepare(self):
        self.oracle = Oracle()
        model = self.oracle.build()
        self.model = estimator.Estimator(model)
        picture, self.joints = self.oracle.draw(
            self.oracle.cells(), (16, 24), 8
        )
        self.picture = picture[..., ::-1]
        self.forms = self.draw_forms()

    def draw_forms(self):
        """{name: (bytes, whether it has to be read)}."""
        bgr = self.picture

        def as_(suffix, image=bgr, *flags):
            return cv2.imencode(suffix, image, flags)[1].tobytes()

        grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        deep = bgr.astype("uint16") * 257
        alpha = np.dstack([bgr, np.full_like(grey, 128)])
        whole = as_(".jpg")
        forms = {
            "plain.png": as_(".png"), "plain.jpg": whole,
            "bmp.bmp": as_(".bmp"), "grey.png": as_(".png", grey),
            "grey.jpg": as_(".jpg", grey), "deep.png": as_(".png", deep),
            "deep-grey.png": as_(".png", deep[..., 0]),
            "alpha.png": as_(".png", alpha),
            "progressive.jpg": as_(
                ".jpg", bgr, cv2.IMWRITE_JPEG_PROGRESSIVE, 1
            ),
            "icc.jpg": whole[:2] + b"\xff\xe2\0\x10ICC_PROFILE\0\x01\x01"
            + whole[2:],
            "with space and\nline.jpg": whole, "palette.png": palette(),
            "cmyk.jpg": cmyk(whole),
        }  # fmt: skip
        for turn in range(0, 10):
            forms[f"exif{turn}.jpg"] = exif(whole, turn)
        sound = {name: (content, True) for name, content in forms.items()}
        sound["cmyk.jpg"] = (forms["cmyk.jpg"], False)
        odd = {
            "one.png": as_(".png", bgr[:1, :1]),
            "long.png": as_(".png", np.zeros((1, 20_000, 3), "uint8")),
            "high.jpg": as_(".jpg", np.zeros((20_000, 9, 3), "uint8")),
            "text.jpg": b"hello", "animated.gif": gif(9, 8, 2),
            "frames.gif": gif(60_000, 60_000, 1)[:200],
        }  # fmt: skip
        for side in (30_000, 65_000, 14_000):
            size = struct.pack(">II", side, side)
            png = forms["plain.png"]
            odd[f"bomb{side}.png"] = png[:16] + size + png[24:]
            at = whole.index(b"\xff\xc0") + 5
            size = struct.pack(">HH", side, side)
            odd[f"bomb{side}.jpg"] = whole[:at] + size + whole[at + 4 :]
        return sound | {name: (content, False) for name, content in odd.items()}

    def draw(self, rng, number):
        self.again()
        names = list(self.forms)
        first = number < len(names)  # each as it is
        name = names[number if first else rng.integers(len(names))]
        content, sound = self.forms[name]
        how = "as it is"
        if number >= len(names) and rng.random() < 0.8:
            content, how = damage(rng, content)
            sound = False
        path = os.fsencode(self.case / name)
        if rng.random() < 0.2:
            path += b"\xff.jpg"  # no UTF-8
        path = Path(os.fsdecode(path))
        path.write_bytes(content)
        box = None
        if number >= len(names) and rng.random() < 0.3:
            box = tuple(rng.standard_normal(4) * 10 ** rng.uniform(0, 12))
            sound = False
        return Case(
            f"{name!r} {how}, box {box}",
            lambda: predict.predict(self.model, path, box),
            name.split("\n")[0], self.look, may_refuse=not sound,
        )  # fmt: skip

    def look(self, found):
        _, pose = found
        good = np.isfinite(pose.joints).all() and np.isfinite(pose.scores).all()
        return "" if good else "joints that are no numbers"


def palette():
    """A PNG of 8 x 9 pixels with a colour table, by hand."""
    import zlib

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = b"".join(b"\0" + bytes([n % 3] * 8) for n in range(9))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 9, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(range(9)))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def cmyk(whole):
    """A JPEG whose header says four components, as CMYK has."""
    at = whole.index(b"\xff\xc0")
    return whole[: at + 9] + b"\x04" + whole[at + 10 :]


def exif(whole, turn):
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"
    segment = b"Exif\0\0" + tiff + struct.pack("<HH", turn, 0) + bytes(4)
    size = struct.pack(">H", len(segment) + 2)
    return whole[:2] + b"\xff\xe1" + size + segment + whole[2:]


def gif(width, height, frames):
    """White pictures in GIF's simplest codes; huge ones end early."""
    codes = [4] + [1, 4] * min(width * height, 1000) + [5]
    bits = sum(code << 3 * n for n, code in enumerate(codes))
    data = bits.to_bytes(len(codes) * 3 // 8 + 1, "little")
    blocks = b"".join(
        bytes([len(data[i : i + 255])]) + data[i : i + 255]
        for i in range(0, len(data), 255)
    )
    place = struct.pack("<HHHHB", 0, 0, width, height, 0)
    screen = struct.pack("<HHBBB", 9, 8, 0x80, 0, 0)
    frame = b"," + place + b"\x02" + blocks + b"\0"
    return b"GIF89a" + screen + bytes(3) + b"\xff" * 3 + frame * frames + b";"


class Models(Part):
    """.keras files: the same network, or a refusal."""

    def prepare(self):
        self.oracle = Oracle()
        self.path = self.sound / "best.keras"
        self.oracle.build().save(self.path)
        picture, _ = self.oracle.draw(self.oracle.cells(), (16, 24), 4)
        self.probe = picture[None]
        self.expected = self.see(self.path)

    def see(self, path):
        return np.asarray(models.load_model(path)(self.probe, training=False))

    def draw(self, rng, number):
        self.again()
        path = self.case / self.path.name
        call = lambda: self.see(path)  # noqa: E731
        if rng.random() < 0.5:
            return Case(self.spoil(rng, path), call, path.name, self.differs)
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        if rng.random() < 0.7:
            config, where = distort(rng, json.loads(members["config.json"]))
            members["config.json"] = json.dumps(config).encode()
            how = f"another {where} in config.json"
        else:
            name = sorted(members)[rng.integers(len(members))]
            members[name], how = damage(rng, members[name])
            how = f"{name} {how}"
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
        return Case(f"packed again, {how}", call, path.name)

    def differs(self, found):
        same = np.array_equal(found, self.expected)
        return "" if same else "another network than was saved"


class Checkpoints(Part):
    """Two checkpoints of a run: the newest whole one, or a refusal."""

    def prepare(self):
        self.model = Oracle().build()
        self.expected = {}
        for epoch in (1, 2):
            folder = self.sound / runs.CHECKPOINT / f"epoch-{epoch:04d}"
            folder.mkdir(parents=True)
            layer = next(x for x in self.model.layers if x.weights)
            layer.set_weights([w + epoch for w in layer.get_weights()])
            self.model.save_weights(folder / runs.WEIGHTS)
            state = {"epoch": epoch, "history": [{"epoch": epoch}]}
            (folder / runs.STATE).write_text(json.dumps(state))
            runs.files.seal(folder, [runs.WEIGHTS, runs.STATE])
            self.expected[epoch] = self.model.get_weights()

    def resume(self):
        found = runs.newest_checkpoint(self.case)
        self.model.load_weights(found.folder / runs.WEIGHTS)
        return found.epoch, self.model.get_weights()

    def draw(self, rng, number):
        self.again()
        files = sorted((self.case / runs.CHECKPOINT).glob("*/*"))
        names = []
        for _ in range(1 + int(rng.random() < 0.3)):
            path = files[rng.integers(len(files))]
            if path.name == runs.files.SUMS and not names:
                path = files[-1]  # who removes the seals removes the proof
            names.append(f"{path.parent.name}/{self.spoil(rng, path)}")
        return Case(", ".join(names), self.resume, "checkpoint", self.differs)

    def differs(self, found):
        epoch, weights = found
        same = epoch in self.expected and all(
            np.array_equal(one, other)
            for one, other in zip(weights, self.expected[epoch], strict=True)
        )
        return "" if same else "another checkpoint than was written"


class Runs(Part):
    """run.json, history.csv, joint_weights.csv: what the report makes of it."""

    def prepare(self):
        rows = "".join(
            f"{n},0.1,{1 / n},0.2,{2 / n},0.1,30\n" for n in (1, 2, 3)
        )
        (self.sound / runs.HISTORY).write_text(
            "epoch,learning_rate,loss,pckh,val_loss,val_pckh,seconds\n" + rows
        )
        (self.sound / runs.RUN).write_text(
            json.dumps(
                {
                    "paper": "A paper",
                    "settings": {"epochs": {"value": 3, "from": "flag"}},
                    "versions": {"keras": "3"},
                    "command": "python -m paper",
                }
            )
        )
        rows = "".join(
            f"{epoch},{stack},{joint},{0.2 + 0.2 * stack * k}\n"
            for epoch in (1, 2)
            for stack in (1, 2)
            for k, joint in enumerate(("neck", "left_hip"))
        )
        (self.sound / runs.JOINT_WEIGHTS).write_text(
            "epoch,stack,joint,weight\n" + rows
        )

    def page(self):
        run = history.read_run(self.case)
        return (
            write._settings(run)
            + learning.curves(history.read_history(self.case))
            + learning.joint_weights(self.case / runs.JOINT_WEIGHTS)
        )

    def draw(self, rng, number):
        self.again()
        files = sorted(self.case.iterdir())
        path = files[rng.integers(len(files))]
        name = self.spoil(rng, path)
        return Case(name, self.page, path.name, self.look)

    def look(self, page):
        return "names are executed" if "<img src=x" in page else ""


CHANCES = [0.35, 0.35, 0.15, 0.06, 0.03, 0.03, 0.03]
"""Of a sound JPEG, PNG and BMP, a GIF, and of what is no photograph."""


class Served(Part):
    """Bytes and boxes to a SavedModel: numbers, or TensorFlow's refusal."""

    def prepare(self):
        oracle = Oracle()
        folder = export.export(oracle.build(), self.sound / "saved_model")
        loaded = tf.saved_model.load(str(folder))
        self.ask = loaded.signatures["encoded"]
        picture, _ = oracle.draw(oracle.cells(), (16, 24), 8)
        self.forms = [
            cv2.imencode(suffix, picture)[1].tobytes()
            for suffix in (".jpg", ".png", ".bmp")
        ] + [gif(9, 8, 1), b"", b"\xff\xd8\xff", b"\x89PNG"]

    def again(self):
        """Nothing is written."""

    def draw(self, rng, number):
        count = int(rng.integers(1, 4))
        photographs, boxes = [], []
        for _ in range(count):
            content = self.forms[rng.choice(len(self.forms), p=CHANCES)]
            if content and rng.random() < 0.3:
                content, _ = damage(rng, content)
            photographs.append(content)
            box = np.array([10.0, 10, 100, 100])
            if rng.random() < 0.4:
                box *= np.exp(rng.standard_normal(4))
            if rng.random() < 0.2:
                box *= rng.standard_normal(4) * 10 ** rng.uniform(-3, 6)
            if rng.random() < 0.1:
                box[rng.integers(4)] = [np.nan, np.inf, -np.inf][number % 3]
            boxes.append(box)
        boxes = tf.constant(np.array(boxes), tf.float32)

        def call():
            try:
                return self.ask(encoded=tf.constant(photographs), boxes=boxes)
            except tf.errors.OpError as error:
                raise ValueError(f"served: {error.message[:80]}") from None

        name = (
            f"{[p[:12] for p in photographs]}, boxes {boxes.numpy().tolist()}"
        )
        return Case(name, call, "served: ", self.look)

    def look(self, found):
        good = np.isfinite(found["joints"]).all()
        return "" if good else "joints that are no numbers"


WORDS = [
    str(value)
    for value in STRANGE
    if isinstance(value, (int, float, str)) and not str(value).startswith("/")
]
"""None of them leads out of the folder of the case, where we write."""


class Flags(Part):
    """Command lines: exit 0, 1 with one line, or 2 with tyro's."""

    def prepare(self):
        tasks = {"train": [0, 1], "val": [2, 3]}
        shards.save(
            self.sound / "data", tasks, make_picture, skeleton="mpii",
            protocol="pckh", workers=1, command="test",
        )  # fmt: skip
        Oracle().build().save(self.sound / "best.keras")
        (self.sound / "photo.jpg").write_bytes(jpeg(0, (128, 192)))

    def draw(self, rng, number):
        self.again()
        model, data = str(self.case / "best.keras"), str(self.case / "data")
        photo = str(self.case / "photo.jpg")
        lines = {
            predict: {
                "": photo, "--model": model, "--box": "10 10 90 90",
                "--output": str(self.case / "drawn.png"),
                "--json": str(self.case / "out.json"),
            },
            evaluate: {
                "--model": model, "--data": data, "--split": "val",
                "--protocol": "pckh", "--scales": "1", "--batch-size": "2",
                "--decoding": "dark", "--output": str(self.case / "evaluated"),
            },
            check: {"--data": data, "--people": "3",
                    "--output": str(self.case / "sheet.png")},
        }  # fmt: skip
        modules = list(lines)
        module = modules[rng.choice(3, p=[0.5, 0.2, 0.3])]
        flags = lines[module]
        name = list(flags)[rng.integers(len(flags))]
        flags[name] = WORDS[rng.integers(len(WORDS))].replace("\0", "")
        flags[name] = flags[name].encode("utf-8", "replace").decode()
        argv = [module.__name__]
        for flag, value in flags.items():
            argv += [flag] * bool(flag) + (
                value.split() if flag == "--box" and value.strip() else [value]
            )

        def call():
            import sys

            sys.argv = argv
            os.chdir(self.case)
            console.run(module.main, module.Config, module.__doc__)

        return Case(" ".join(argv).replace(str(self.case), "."), call)


class Exports(Part):
    """Files of other runtimes: joints that are numbers, or a refusal.

    They have no checksum: other weights find other joints.
    """

    def prepare(self):
        oracle = Oracle()
        locator = portable.Locator(oracle.build())
        self.picture, _ = oracle.draw(oracle.cells(), (16, 24), 8)
        for kind in ("litert", "onnx"):
            if all(map(importlib.util.find_spec, converters.NEEDED[kind])):
                export.convert(locator, kind, self.sound, lambda path: None)
        if not self.files(self.sound):
            raise ValueError("exports: litert or onnx must be installed")
        for path in self.files(self.sound):
            self.look(self.ask(path))

    def files(self, folder):
        return sorted(folder.glob("*.tflite")) + sorted(folder.glob("*.onnx"))

    def ask(self, path):
        return estimator.Estimator(path).predict_photo(self.picture)

    def draw(self, rng, number):
        self.again()
        files = self.files(self.case)
        path = files[rng.integers(len(files))]
        name = self.spoil(rng, path)
        return Case(name, lambda: self.ask(path), path.name, self.look)

    def look(self, found):
        good = found.joints.shape == (1, 16, 2)
        return "" if good else "joints of others than were asked for"


PARTS = {
    "annotations": Annotations,
    "boxes": Boxes,
    "checkpoints": Checkpoints,
    "crowds": Crowds,
    "exports": Exports,
    "flags": Flags,
    "models": Models,
    "photographs": Photographs,
    "records": Records,
    "runs": Runs,
    "served": Served,
}
