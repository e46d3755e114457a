"""Which system the report names as the most accurate at each size and latency."""

from gendist.analysis.report_page.most_accurate import most_accurate


def system(name: str, accuracy: float, size: float | None, latency: float, runtime: str = "torch") -> dict:
    costs = {"size_bytes": size, "latency_p50_ms": latency, "runtime": runtime}
    return {"system": name, "accuracy": accuracy, **costs}


SYSTEMS = [
    system("teacher", 82.5, 91.6e6, 32.5),
    system("kim", 66.3, 5.15e6, 0.99),
    system("kim+gendist", 72.1, 5.15e6, 0.99),
    system("kim+gendist", 72.1, 1.84e6, 0.094, "exported (tables, int8)"),
    system("tfidf-svm", 43.7, 0.511e6, 1.37),
    system("fasttext", 40.3, 2.89e6, 0.034),
]


def test_a_system_is_named_if_it_beats_all_that_cost_less():
    assert most_accurate(SYSTEMS) == [
        (
            "By size",
            "tfidf-svm (43.7\u00a0%) from 0.5\u00a0MB, kim+gendist, as deployed, (72.1\u00a0%) from 1.8\u00a0MB, "
            "teacher (82.5\u00a0%) from 91.6\u00a0MB.",
        ),
        (
            "By time for one text",
            "fasttext (40.3\u00a0%) from 34\u00a0µs, kim+gendist, as deployed, (72.1\u00a0%) from 94\u00a0µs, "
            "teacher (82.5\u00a0%) from 32.5\u00a0ms.",
        ),
    ]


def test_one_system_can_be_the_best_at_any_cost():
    best = system("small", 90.0, 1e6, 0.1)
    assert [sentence for _, sentence in most_accurate([best, *SYSTEMS[:2]])] == [
        "small (90.0\u00a0%) from 1.0\u00a0MB is the most accurate of all.",
        "small (90.0\u00a0%) from 100\u00a0µs is the most accurate of all.",
    ]


def test_nothing_is_said_without_two_measurements():
    assert most_accurate([]) == [] and most_accurate(SYSTEMS[:1]) == []
    assert [label for label, _ in most_accurate([SYSTEMS[0], system("api", 90.0, None, 300.0)])] == [
        "By time for one text"
    ]
