"""data_prep.lodopab: the layout, padding, patients, refusals with the real bytes."""

import h5py
import numpy as np
import pytest
from conftest import smooth_images, write_part

from data_prep import lodopab
from data_prep.errors import InputError


def slices_of(folder, part="train"):
    return lodopab.list_slices(folder, part, lodopab.find_parts(folder)[part])


def test_hu_mapping_is_the_data_sets():
    # Water (0 HU) is 1001.001 / 4072.001; -1024 HU and less is clipped to 0.
    np.testing.assert_allclose(lodopab.values_from_hu(np.array([0.0, -1024.0, 4000.0])), [0.245825, 0, 1], atol=1e-6)


def test_padding_rows_never_become_slices(tmp_path):
    images = smooth_images(6, 8, 0) + 0.01
    images[4:] = 0
    write_part(tmp_path, "train", images)
    assert [ref.row for ref in slices_of(tmp_path)] == [0, 1, 2, 3]


def test_the_csv_file_names_every_slice_before_the_padding(tmp_path):
    images = smooth_images(6, 8, 0) + 0.01
    images[3:] = 0
    write_part(tmp_path, "train", images, ids=[3, 3, 7])
    refs = slices_of(tmp_path)
    assert [(ref.row, ref.patient_id) for ref in refs] == [(0, "3"), (1, "3"), (2, "7")]


def test_ids_count_through_the_files(tmp_path):
    write_part(tmp_path, "train", smooth_images(3, 8, 0) + 0.01, number=0)
    write_part(tmp_path, "train", smooth_images(2, 8, 1) + 0.01, number=1, ids=[0, 1, 2, 3, 4])
    refs = slices_of(tmp_path)
    assert [(ref.file_number, ref.row, ref.index, ref.patient_id) for ref in refs[2:]] == [
        (0, 2, 2, "2"),
        (1, 0, 3, "3"),
        (1, 1, 4, "4"),
    ]


def test_a_file_taken_out_of_128_row_files_keeps_its_patients(tmp_path):
    write_part(tmp_path, "test", np.full((128, 4, 4), 0.1, np.float32), number=2, ids=range(400))
    refs = slices_of(tmp_path, "test")
    assert (refs[0].index, refs[0].patient_id, len(refs)) == (256, "256", 128)


@pytest.mark.parametrize("ids", [None, range(97)])
def test_the_official_count_whatever_its_padding_holds(tmp_path, monkeypatch, ids):
    monkeypatch.setitem(lodopab.OFFICIAL_FILES, "test", 1)
    monkeypatch.setitem(lodopab.OFFICIAL_SLICES, "test", 97)
    write_part(tmp_path, "test", np.full((128, 4, 4), 0.1, np.float32), ids=ids)
    assert len(slices_of(tmp_path, "test")) == 97
    write_part(tmp_path, "test", np.full((128, 4, 4), 0.1, np.float32), ids=range(98))
    with pytest.raises(InputError, match=r"98 ids, but the slices .* are 97"):
        slices_of(tmp_path, "test")


def test_the_last_official_file_alone_has_the_official_padding(tmp_path, monkeypatch):
    monkeypatch.setitem(lodopab.OFFICIAL_FILES, "test", 3)
    monkeypatch.setitem(lodopab.OFFICIAL_SLICES, "test", 353)
    write_part(tmp_path, "test", np.full((128, 4, 4), 0.1, np.float32), number=2, ids=range(353))
    refs = slices_of(tmp_path, "test")
    assert (refs[0].index, refs[-1].patient_id, len(refs)) == (256, "352", 97)


def test_nan_is_named_with_file_and_slice(tmp_path):
    images = smooth_images(3, 8, 0)
    images[1, 2, 3] = np.nan
    write_part(tmp_path, "train", images + 0.01)
    with (
        lodopab.SliceReader() as reader,
        pytest.raises(InputError, match=r"ground_truth_train_000.hdf5: slice 1 has 1"),
    ):
        reader.read(slices_of(tmp_path)[1])


def bad_file(path, kind):
    """A ground-truth file that is wrong in one way."""
    if kind == "text":
        path.write_text("not HDF5")
        return
    with h5py.File(path, "w") as file:
        if kind == "name":
            file["images"] = np.zeros((2, 4, 4), np.float32)
        elif kind == "dtype":
            file["data"] = np.zeros((2, 4, 4), np.float64)
        elif kind == "shape":
            file["data"] = np.zeros((2, 4), np.float32)
        elif kind == "empty":
            file["data"] = np.zeros((0, 4, 4), np.float32)
        elif kind == "group":
            file.create_group("data")
        elif kind == "huge":
            file.create_dataset("data", (2, 10**6, 10**6), "f4", chunks=(1, 64, 64))
        elif kind == "external":
            file.create_dataset("data", (2, 4, 4), "f4", external=[(str(path) + ".raw", 0, 128)])
        elif kind == "external link":
            file["data"] = h5py.ExternalLink("/etc/other.hdf5", "data")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((2, 4, 4), "f4")
            layout[0] = h5py.VirtualSource("other.hdf5", "data", shape=(4, 4))
            file.create_virtual_dataset("data", layout)
        else:
            file["data"] = np.ones((200, 40, 40), np.float32)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "not a readable HDF5 file"),
        ("truncated", "not a readable HDF5 file"),
        ("name", "expected a dataset 'data' stored in the file, got .'images'."),
        ("dtype", "dtype float64, expected float32"),
        ("shape", r"shape \(2, 4\), expected"),
        ("empty", r"shape \(0, 4, 4\), expected"),
        ("group", "is a group"),
        ("huge", "sides up to 8192"),
        ("external", "points to other files"),
        ("external link", "stored in the file"),
        ("virtual", "points to other files"),
    ],
)
def test_bad_files_are_named(tmp_path, kind, message):
    path = tmp_path / "ground_truth_train_000.hdf5"
    bad_file(path, kind)
    with pytest.raises(InputError, match=message) as caught:
        slices_of(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_slice_is_named_with_file_and_index(tmp_path):
    path = tmp_path / "ground_truth_train_000.hdf5"
    with h5py.File(path, "w") as file:
        images = smooth_images(3, 16, 0) + 0.01
        dataset = file.create_dataset("data", data=images, chunks=(1, 16, 16), compression="gzip", fletcher32=True)
        start = dataset.id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[start + 20] ^= 0xFF
    path.write_bytes(content)
    refs = slices_of(tmp_path)
    with lodopab.SliceReader() as reader:
        reader.read(refs[0])
        with pytest.raises(InputError, match="slice 1 cannot be read") as caught:
            reader.read(refs[1])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_of_different_slice_shapes(tmp_path):
    write_part(tmp_path, "train", smooth_images(3, 16, 0), number=0)
    write_part(tmp_path, "train", smooth_images(3, 12, 0) + 0.01, number=1)
    with pytest.raises(InputError, match=r"part train have slices of different shapes .*\(12, 12\).*\(16, 16\)"):
        slices_of(tmp_path)


def test_a_missing_file_between_others(tmp_path):
    for number in (0, 2):
        write_part(tmp_path, "train", smooth_images(3, 16, 0) + 0.01, number)
    with pytest.raises(InputError, match=r"part train lacks file ground_truth_train_001\.hdf5"):
        slices_of(tmp_path)


@pytest.mark.parametrize("count", [3, 5, 7], ids=["no slice of the last file", "too few", "too many"])
def test_another_number_of_ids_than_of_slices(tmp_path, count):
    padded = smooth_images(4, 16, 0) + 0.01
    padded[3:] = 0
    write_part(tmp_path, "train", smooth_images(3, 16, 0) + 0.01)
    write_part(tmp_path, "train", padded, 1, ids=range(count))
    message = rf"train\.csv: {count} ids, but the slices up to the last one of ground_truth_train_001\.hdf5 are 6 "
    with pytest.raises(InputError, match=message):
        slices_of(tmp_path)


def test_more_ids_than_slices_in_a_full_file_that_is_padded(tmp_path):
    """Others may follow a full file, none a padded one."""
    images = np.full((128, 4, 4), 0.1, np.float32)
    write_part(tmp_path, "train", images, ids=range(140))
    assert len(slices_of(tmp_path)) == 128
    images[127] = 0
    write_part(tmp_path, "train", images)
    with pytest.raises(InputError, match=r"140 ids, but the slices up to .* are 127 "):
        slices_of(tmp_path)


def test_folder_without_files(tmp_path):
    with pytest.raises(InputError, match=r"no file named ground_truth_train_000\.hdf5"):
        lodopab.find_parts(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        lodopab.find_parts(tmp_path / "missing")


def test_wrong_csv_files(tmp_path):
    write_part(tmp_path, "train", smooth_images(3, 8, 0) + 0.01, ids=[1])
    (tmp_path / "patient_ids_rand_train.csv").write_text("1\n<b>\n3\n")
    with pytest.raises(InputError, match="expected one patient id a line, got '<b>'"):
        slices_of(tmp_path)


@pytest.mark.parametrize("header", ["patient_id", "patient id"])
def test_a_header_is_no_patients_id(tmp_path, header):
    """Taken for one, it would give each slice the id of the slice before it."""
    path = write_part(tmp_path, "train", np.full((128, 4, 4), 0.1, np.float32)).parent / "patient_ids_rand_train.csv"
    path.write_text("\n".join([header, *["7"] * 200]))
    with pytest.raises(InputError, match=f"{path}.*'{header}'"):
        slices_of(tmp_path)
    path.write_text("P7\n" * 128)
    assert {ref.patient_id for ref in slices_of(tmp_path)} == {"P7"}, "ids need not be numbers"


def test_a_file_that_does_not_open_is_named_though_another_was_read_before(tmp_path):
    write_part(tmp_path, "train", smooth_images(3, 8, 0) + 0.01)
    broken = write_part(tmp_path, "train", smooth_images(3, 8, 0) + 0.01, number=1)
    refs = slices_of(tmp_path)
    broken.write_text("not HDF5")
    with pytest.raises(InputError, match=f"{broken}: not a readable HDF5 file"), lodopab.SliceReader() as reader:
        reader.read(refs[0])
        reader.read(refs[3])
