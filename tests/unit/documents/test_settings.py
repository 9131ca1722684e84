from benchwire.documents.settings import Settings


def test_the_page_of_the_lab_may_call_beside_those_that_are_set() -> None:
    settings = Settings(cors_origins=("https://dashboard.lab",), observability_host="0.0.0.0", observability_port=1)
    assert settings.origins == ["https://dashboard.lab", "http://127.0.0.1:1", "http://localhost:1"]
