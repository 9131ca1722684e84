"""The model's endpoint. Only ``model`` needs the SDK, which takes seconds to import; nothing is imported here, so that ``endpoint`` does without."""
