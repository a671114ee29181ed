from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTHING: _ClassVar[Decision]
    APPLIED: _ClassVar[Decision]
    SCALED: _ClassVar[Decision]
    ACCEPTED: _ClassVar[Decision]
    DROPPED: _ClassVar[Decision]
NOTHING: Decision
APPLIED: Decision
SCALED: Decision
ACCEPTED: Decision
DROPPED: Decision

class Chunk(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("pid", "descriptor", "num_bytes", "nonce")
    PID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    NUM_BYTES_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    pid: int
    descriptor: int
    num_bytes: int
    nonce: int
    def __init__(self, pid: _Optional[int] = ..., descriptor: _Optional[int] = ..., num_bytes: _Optional[int] = ..., nonce: _Optional[int] = ...) -> None: ...

class WorkRequest(_message.Message):
    __slots__ = ("call", "hello", "register", "begin", "push", "state", "chunk", "last")
    CALL_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    PUSH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    call: int
    hello: Hello
    register: Register
    begin: Begin
    push: Push
    state: State
    chunk: Chunk
    last: bool
    def __init__(self, call: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., register: _Optional[_Union[Register, _Mapping]] = ..., begin: _Optional[_Union[Begin, _Mapping]] = ..., push: _Optional[_Union[Push, _Mapping]] = ..., state: _Optional[_Union[State, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ..., last: bool = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "worker", "incarnation", "ps", "ps_incarnation", "num_ps", "num_elements", "dtype", "segment", "waited", "begin", "end")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    PS_FIELD_NUMBER: _ClassVar[int]
    PS_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NUM_PS_FIELD_NUMBER: _ClassVar[int]
    NUM_ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    worker: int
    incarnation: int
    ps: int
    ps_incarnation: int
    num_ps: int
    num_elements: int
    dtype: str
    segment: Segment
    waited: float
    begin: int
    end: int
    def __init__(self, protocol: _Optional[int] = ..., worker: _Optional[int] = ..., incarnation: _Optional[int] = ..., ps: _Optional[int] = ..., ps_incarnation: _Optional[int] = ..., num_ps: _Optional[int] = ..., num_elements: _Optional[int] = ..., dtype: _Optional[str] = ..., segment: _Optional[_Union[Segment, _Mapping]] = ..., waited: _Optional[float] = ..., begin: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class Register(_message.Message):
    __slots__ = ("phase", "description")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    phase: int
    description: str
    def __init__(self, phase: _Optional[int] = ..., description: _Optional[str] = ...) -> None: ...

class State(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Begin(_message.Message):
    __slots__ = ("phase", "description")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    phase: int
    description: str
    def __init__(self, phase: _Optional[int] = ..., description: _Optional[str] = ...) -> None: ...

class Push(_message.Message):
    __slots__ = ("phase", "sequence", "lease", "version", "sums", "skip", "learning_rate", "shared", "allow_nonfinite", "seconds")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    ALLOW_NONFINITE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    phase: int
    sequence: int
    lease: int
    version: int
    sums: _containers.RepeatedScalarFieldContainer[float]
    skip: bool
    learning_rate: float
    shared: bool
    allow_nonfinite: bool
    seconds: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, phase: _Optional[int] = ..., sequence: _Optional[int] = ..., lease: _Optional[int] = ..., version: _Optional[int] = ..., sums: _Optional[_Iterable[float]] = ..., skip: bool = ..., learning_rate: _Optional[float] = ..., shared: bool = ..., allow_nonfinite: bool = ..., seconds: _Optional[_Iterable[float]] = ...) -> None: ...

class WorkReply(_message.Message):
    __slots__ = ("call", "welcome", "answer", "chunk", "last")
    CALL_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    call: int
    welcome: Welcome
    answer: Answer
    chunk: Chunk
    last: bool
    def __init__(self, call: _Optional[int] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ..., last: bool = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("ps_incarnation", "shared")
    PS_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    ps_incarnation: int
    shared: bool
    def __init__(self, ps_incarnation: _Optional[int] = ..., shared: bool = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("decision", "staleness", "factor", "why", "version", "has_lease", "lease", "pass_index", "begin", "end", "totals", "summary", "waited", "undone", "start")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HAS_LEASE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    PASS_INDEX_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    UNDONE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    staleness: int
    factor: float
    why: str
    version: int
    has_lease: bool
    lease: int
    pass_index: int
    begin: int
    end: int
    totals: _containers.RepeatedScalarFieldContainer[float]
    summary: str
    waited: float
    undone: _containers.RepeatedCompositeFieldContainer[Span]
    start: str
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., staleness: _Optional[int] = ..., factor: _Optional[float] = ..., why: _Optional[str] = ..., version: _Optional[int] = ..., has_lease: bool = ..., lease: _Optional[int] = ..., pass_index: _Optional[int] = ..., begin: _Optional[int] = ..., end: _Optional[int] = ..., totals: _Optional[_Iterable[float]] = ..., summary: _Optional[str] = ..., waited: _Optional[float] = ..., undone: _Optional[_Iterable[_Union[Span, _Mapping]]] = ..., start: _Optional[str] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("pass_index", "begin", "end")
    PASS_INDEX_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    pass_index: int
    begin: int
    end: int
    def __init__(self, pass_index: _Optional[int] = ..., begin: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class PushId(_message.Message):
    __slots__ = ("worker", "incarnation", "sequence")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    worker: int
    incarnation: int
    sequence: int
    def __init__(self, worker: _Optional[int] = ..., incarnation: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class FollowRequest(_message.Message):
    __slots__ = ("ps", "arrived", "part", "ends", "silent", "has", "incarnation", "call")
    PS_FIELD_NUMBER: _ClassVar[int]
    ARRIVED_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    ENDS_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    HAS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    ps: int
    arrived: PushId
    part: Part
    ends: bool
    silent: PushId
    has: int
    incarnation: int
    call: int
    def __init__(self, ps: _Optional[int] = ..., arrived: _Optional[_Union[PushId, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ..., ends: bool = ..., silent: _Optional[_Union[PushId, _Mapping]] = ..., has: _Optional[int] = ..., incarnation: _Optional[int] = ..., call: _Optional[int] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("cut", "name", "chunk", "count", "last")
    CUT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    cut: int
    name: str
    chunk: Chunk
    count: int
    last: bool
    def __init__(self, cut: _Optional[int] = ..., name: _Optional[str] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ..., count: _Optional[int] = ..., last: bool = ...) -> None: ...

class FollowReply(_message.Message):
    __slots__ = ("apply", "discard", "keep", "install", "pull", "cut", "saved", "has", "incarnation")
    APPLY_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    INSTALL_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    SAVED_FIELD_NUMBER: _ClassVar[int]
    HAS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    apply: Apply
    discard: PushId
    keep: PushId
    install: Install
    pull: Pull
    cut: int
    saved: Saved
    has: int
    incarnation: int
    def __init__(self, apply: _Optional[_Union[Apply, _Mapping]] = ..., discard: _Optional[_Union[PushId, _Mapping]] = ..., keep: _Optional[_Union[PushId, _Mapping]] = ..., install: _Optional[_Union[Install, _Mapping]] = ..., pull: _Optional[_Union[Pull, _Mapping]] = ..., cut: _Optional[int] = ..., saved: _Optional[_Union[Saved, _Mapping]] = ..., has: _Optional[int] = ..., incarnation: _Optional[int] = ...) -> None: ...

class Saved(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: str
    def __init__(self, failure: _Optional[str] = ...) -> None: ...

class Apply(_message.Message):
    __slots__ = ("pushes", "scale", "learning_rate", "version")
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    pushes: _containers.RepeatedCompositeFieldContainer[PushId]
    scale: float
    learning_rate: float
    version: int
    def __init__(self, pushes: _Optional[_Iterable[_Union[PushId, _Mapping]]] = ..., scale: _Optional[float] = ..., learning_rate: _Optional[float] = ..., version: _Optional[int] = ...) -> None: ...

class Install(_message.Message):
    __slots__ = ("push", "version")
    PUSH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    push: PushId
    version: int
    def __init__(self, push: _Optional[_Union[PushId, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class Pull(_message.Message):
    __slots__ = ("worker", "call", "version", "state")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    worker: int
    call: int
    version: int
    state: bool
    def __init__(self, worker: _Optional[int] = ..., call: _Optional[int] = ..., version: _Optional[int] = ..., state: bool = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("reason", "incarnation")
    REASON_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    reason: str
    incarnation: int
    def __init__(self, reason: _Optional[str] = ..., incarnation: _Optional[int] = ...) -> None: ...

class StopReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ("worker", "incarnation")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    worker: int
    incarnation: int
    def __init__(self, worker: _Optional[int] = ..., incarnation: _Optional[int] = ...) -> None: ...

class LeaveReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
