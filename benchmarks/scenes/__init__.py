"""The scenes that compare, each by its name."""

from benchmarks.measuring import Scene
from benchmarks.scenes import bulk, consume, fanout, flat, latency, lists, memory, post, rebuild, tags, upload

SCENES: dict[str, Scene] = {
    room.SCENE.name: room.SCENE
    for room in (post, bulk, fanout, latency, consume, rebuild, flat, lists, tags, upload, memory)
}
