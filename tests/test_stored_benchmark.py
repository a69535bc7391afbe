"""The benchmark of patches by range: its data set of links, its rows."""

from benchmark import stored
from wgan_vgg.config import InputConfig
from wgan_vgg.input_pipeline import DataSet


def test_records_by_links_are_a_data_set_of_their_number(tmp_path):
    stored.write_linked_records(tmp_path / "records", side=16, size=750)
    data = DataSet.open(tmp_path / "records")
    assert data.size("train") == sum(1 for _ in data.records("train")) == 750
    assert len(list((tmp_path / "records").glob("*train*"))) == 3
    low_dose, _ = next(iter(data.batches("train", 8, seed=0, crops=InputConfig(memory_gb=0))))
    assert low_dose.shape == (8, 16, 16, 1)


def test_rows_name_what_was_read():
    done = []
    rows = list(
        stored.stored_rows(
            [80], [16, 300], [1, 3, 4], rounds=1, consumed=10.0, progress=lambda *call: done.append(call)
        )
    )
    assert [(row.details["records"], row.details["side"], row.details["hosts"]) for row in rows] == [
        (250, 80, 1),
        (16, 80, 1),
        (250, 80, 4),
    ], "files of 250; 3 hosts do not divide a batch of 16"
    assert [row.share is None for row in rows] == [False, False, True]
    assert all(row.details["times what training consumes"] == row.rate / 10 for row in rows)
    assert len(done) == 3
