from prolepsis.validation.hooks import Place, ValidationHooks, place


class Context:
    """Of a project; nothing of it is asked for."""


def test_what_failed_to_be_saved_or_loaded_is_not_the_place_of_what_comes_after() -> None:
    hooks = ValidationHooks()
    for forget in (hooks.on_pipeline_error, lambda: hooks.after_context_created(Context())):
        hooks.before_dataset_loaded("documents")
        assert place() == Place("documents", "load")
        forget()
        assert place() is None
