import pickle

from prolepsis.errors import ProlepsisError


def test_the_message_names_the_thing_the_place_and_the_remedy():
    error = ProlepsisError("The file is empty.", where="a.txt", remedy="Write something.")
    assert str(error) == "The file is empty.\n  where: a.txt\n  to do: Write something."


def test_an_error_comes_back_whole_from_a_worker_process():
    error = ProlepsisError("The file is empty.", where="a.txt", remedy="Write something.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
