"""Tasks: work that is planned into nodes; each is generated, checked and retried until it passes or its iterations are spent."""

import msgspec

from benchwire.events.event import Artifact, Event


class Assertion(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's output must show; a required one decides.

    ``kind`` says how ``pattern`` is meant: ``substring``, ``regex``, ``absent`` (the text must not appear), ``order`` (the texts ``patterns``
    appear one after the other), ``count`` (the regex matches at least ``min_count`` and at most ``max_count`` times) or ``range`` (the regex
    matches, and its ``group``, by number or name, is a number from ``minimum`` to ``maximum``). With ``within_s`` it has to be shown by so many
    seconds after the first byte of output.
    """

    name: str
    pattern: str = ""
    kind: str = "substring"
    required: bool = True
    patterns: list[str] = []
    min_count: int | None = None
    max_count: int | None = None
    group: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    within_s: float | None = None


class AssertionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one assertion; ``detail`` is the line that matched, or what was missing."""

    name: str
    passed: bool
    required: bool = True
    detail: str = ""


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One firmware to make: for which board profile, doing what, proved how. Or one module of code, which has no ``board``.

    ``sources`` (file name to text) are built as they are, without a model. ``expect`` is the text that the real board has to print;
    without ``deploy`` the node ends after its simulation. ``device`` (on ``host``) is the board that it is for; without one, any that is free and
    has the ``labels``. ``depends_on`` names the modules that a module imports.
    """

    node_id: str
    board: str = ""
    description: str = ""
    assertions: list[Assertion] = []
    sources: dict[str, str] | None = None
    deploy: bool = True
    expect: str | None = None
    host: str | None = None
    device: str | None = None
    labels: dict[str, str] = {}
    depends_on: list[str] = []


class UartLink(msgspec.Struct, frozen=True, kw_only=True):
    """The UARTs of two nodes are joined: what one sends, the other receives. They are simulated together."""

    a: str
    b: str


class TaskRequested(Event, frozen=True, kw_only=True, tag="task_requested"):
    """Somebody wants firmware (or code) made: ``kind`` is ``firmware`` or ``code``. The queue of the agent runners.

    Without ``nodes`` the model plans them; with ``deploy`` false none of those goes onto a board. ``quality_target`` is what a module's
    quality score (0 to 1) has to reach.
    """

    task_id: str
    kind: str
    prompt: str = ""
    answers: list[str] = []
    board: str | None = None
    nodes: list[NodeSpec] = []
    max_iterations: int = 5
    simulation_timeout_s: float = 10.0
    links: list[UartLink] = []
    quality_target: float = 0.8
    deploy: bool = True


class TaskClaimed(Event, frozen=True, kw_only=True, tag="task_claimed"):
    """A runner took the task; ``attempt`` counts takers."""

    task_id: str
    runner: str
    attempt: int = 1


class TaskPlanned(Event, frozen=True, kw_only=True, tag="task_planned"):
    """The nodes the task will make. ``model`` and what it cost are absent when a person said which."""

    task_id: str
    nodes: list[NodeSpec]
    estimated_iterations: int
    links: list[UartLink] = []
    summary: str = ""
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    duration_s: float = 0.0


class NodeStarted(Event, frozen=True, kw_only=True, tag="node_started"):
    """Work on a node began, or began again with another runner."""

    task_id: str
    node_id: str
    board: str
    attempt: int = 1


class NodeGenerated(Event, frozen=True, kw_only=True, tag="node_generated"):
    """The model answered with these sources (file name to text). ``model`` is absent when a person handed them in."""

    task_id: str
    node_id: str
    iteration: int
    sources: dict[str, str]
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    duration_s: float = 0.0


class NodeCompiled(Event, frozen=True, kw_only=True, tag="node_compiled"):
    """The compiler is done; ``diagnostics`` is what it said. Sizes in bytes, of the sections that occupy flash and RAM."""

    task_id: str
    node_id: str
    iteration: int
    ok: bool
    diagnostics: str = ""
    flash_bytes: int = 0
    ram_bytes: int = 0
    flash_limit_bytes: int = 0
    ram_limit_bytes: int = 0
    duration_s: float = 0.0


class NodeSimulated(Event, frozen=True, kw_only=True, tag="node_simulated"):
    """The simulator is done. ``outcome`` is ``passed``, ``timeout``, ``crashed``, ``refused`` or ``flooded``.

    ``output`` is what the board printed, and nothing else; the simulator's own words are in ``simulator_error``. ``together_with`` names the
    nodes whose UARTs were joined to this one's.
    """

    task_id: str
    node_id: str
    iteration: int
    ok: bool
    outcome: str
    output: str = ""
    simulator_error: str = ""
    assertions: list[AssertionResult] = []
    duration_s: float = 0.0
    together_with: list[str] = []


class NodeTested(Event, frozen=True, kw_only=True, tag="node_tested"):
    """The tests of a code module ran in the sandbox. ``outcome`` is ``passed``, ``failed``, ``timeout``, ``crashed`` or ``refused``.

    ``quality_score`` is the sum of ``measures`` times ``weights`` (each measure 0 to 1, the weights add up to 1): ``tests`` is the part that passed,
    ``coverage`` the part of the module's lines that ran, ``lint`` and ``types`` fall with the number of findings. ``report`` is what the tools said.
    """

    task_id: str
    node_id: str
    iteration: int
    ok: bool
    outcome: str
    tests_passed: int = 0
    tests_failed: int = 0
    lint_findings: int = 0
    type_errors: int = 0
    measures: dict[str, float] = {}
    weights: dict[str, float] = {}
    quality_score: float = 0.0
    report: str = ""
    duration_s: float = 0.0


class NodeRetried(Event, frozen=True, kw_only=True, tag="node_retried"):
    """An iteration did not pass, and ``feedback`` goes to the model.

    ``stage`` is ``generate``, ``compile``, ``memory``, ``simulate`` or ``assert``; of a code module ``generate``, ``test`` or ``quality``.
    """

    task_id: str
    node_id: str
    iteration: int
    stage: str
    feedback: str


class NodeImageStored(Event, frozen=True, kw_only=True, tag="node_image_stored"):
    """The image that passed is in the artifact store, as it will be flashed."""

    task_id: str
    node_id: str
    iteration: int
    image: Artifact
    elf: Artifact


class NodeAssigned(Event, frozen=True, kw_only=True, tag="node_assigned"):
    """A person said which board a node is for; without ``device`` the one that was said before counts no more."""

    task_id: str
    node_id: str
    host: str | None = None
    device: str | None = None


class NodeDeploying(Event, frozen=True, kw_only=True, tag="node_deploying"):
    """A board was chosen, and a flash job requested for it."""

    task_id: str
    node_id: str
    host: str
    device: str
    job_id: str


class NodeDeployed(Event, frozen=True, kw_only=True, tag="node_deployed"):
    """The board printed the expected ``line`` after it booted the image."""

    task_id: str
    node_id: str
    host: str
    device: str
    job_id: str
    line: str


class NodeSucceeded(Event, frozen=True, kw_only=True, tag="node_succeeded"):
    """The node passed everything that was asked of it."""

    task_id: str
    node_id: str
    iterations: int


class NodeFailed(Event, frozen=True, kw_only=True, tag="node_failed"):
    """The node did not pass, and why."""

    task_id: str
    node_id: str
    reason: str
    iterations: int = 0


class TaskGuided(Event, frozen=True, kw_only=True, tag="task_guided"):
    """A person's guidance for the next generation; without ``node_id`` it is for every node."""

    task_id: str
    guidance: str
    node_id: str | None = None


class TaskFinished(Event, frozen=True, kw_only=True, tag="task_finished"):
    """Every node succeeded."""

    task_id: str
    duration_s: float


class TaskFailed(Event, frozen=True, kw_only=True, tag="task_failed"):
    """The task ended without all of its nodes, and why."""

    task_id: str
    reason: str


class TaskCancelRequested(Event, frozen=True, kw_only=True, tag="task_cancel_requested"):
    """Somebody wants the task to end now."""

    task_id: str
    reason: str | None = None


class TaskCancelled(Event, frozen=True, kw_only=True, tag="task_cancelled"):
    """The task was ended on request: its model calls and subprocesses are gone."""

    task_id: str
    reason: str | None = None


TaskEvent = (
    TaskRequested
    | TaskClaimed
    | TaskPlanned
    | NodeStarted
    | NodeGenerated
    | NodeCompiled
    | NodeSimulated
    | NodeTested
    | NodeRetried
    | NodeImageStored
    | NodeAssigned
    | NodeDeploying
    | NodeDeployed
    | NodeSucceeded
    | NodeFailed
    | TaskGuided
    | TaskFinished
    | TaskFailed
    | TaskCancelRequested
    | TaskCancelled
)
