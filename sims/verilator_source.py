"""What Verilator is given: the converted modules, said in a way that it compiles and simulates fast.

The behaviour is the converter's, bit for bit; only the text changes:

- A function is inlined into every instance of its module, hundreds of times for the PEs' multiply-adder. Moved out of
  the modules, once, it stays one C++ function. Verilator can do that for results of up to 64 bits; a function with a
  longer one becomes a task.
- The locals around a multiply-adder are all as wide as its unrounded result. Those of 64 bits stay out of Verilator's
  slow arithmetic on arrays of words. Shorter ones of more than 32 become as wide as a C++ integer: no masks.
- A lane of a packed word is taken and put by shifts as wide as the word, so that all of them cost the square of it.
  They become part selects.
- A row of PEs is a chain of instances, each of which becomes C++ code of its own. A process that loops over them is
  compiled once a row, and the lanes of the row's ports become one vector; what all instances do in every cycle with a
  lane is done once with the vector.
"""

from __future__ import annotations

import itertools
import re

__all__ = ["LONGEST_RESULT", "SHARED", "loop_nets", "prepare"]

SHARED = "shared_functions"
"""the file of the functions that were moved out of the modules"""
LONGEST_RESULT = 64
"""bits of the widest result of a function that Verilator can leave a function; also of a C++ integer"""
_PACKED = 16
"""bits of an unrounded result below its magnitude"""
_WIDE = 64
"""bits from which the shifts of a word are worth rewriting"""

_FUNCTION = re.compile(r"^function (signed \[(\d+):0\]|integer) (\w+);\n(.*?^endfunction\n)", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^(input|output) (?:\[(\d+):0\] )?(\w+);$", re.MULTILINE)
_REGISTER = re.compile(r"^reg (?:\[(\d+):0\] )?(\w+) = (.*);$", re.MULTILINE)
_CONNECTION = re.compile(r"^    \.(\w+)\((.*)\),?$", re.MULTILINE)
_DECLARATION = re.compile(
    r"^ *(?:input |output )?(?:reg |wire )?(?:signed )?\[(\d+):0\] (\w+)(?: \[0:[^\]]*\])?(?: = [^;]*)?;$", re.MULTILINE
)
_INDEX = r"\([^()]*(?:\([^()]*\)[^()]*)*\)|\d+"
_ELEMENT = rf"\w+(?:\[(?:\w+|{_INDEX})\])?"
_TAKE = re.compile(rf"\(\$signed\((?:\$signed\(\{{1'b0, (\w+)\}}\)|(\w+)) >>> ({_INDEX})\) & (?:\d+'h)?([0-9a-f]+)\)")
_PUT = re.compile(
    rf"^( *)(\w+) = \((?:\$signed\(\{{1'b0, \2\}}\)|\2) \| \(({_ELEMENT}|\w+\[[^\]]* \+: \d+\]) << ({_INDEX})\)\);$",
    re.MULTILINE,
)
_MERGE = re.compile(
    rf"^( *)(\w+) = \(\2 \| \(({_ELEMENT}) & \((\d+|\d+'h[0-9a-f]+) << ({_INDEX})\)\)\);$", re.MULTILINE
)
_LANE = re.compile(r"\b(\w+)_lane(\d+)\b")
_EVERY_LANE = re.compile(r"^    (\w+)(\[\(at \* \d+\) \+: \d+\]) <= (\w+)\2;\n", re.MULTILINE)
"""what an instance does with its lane in every cycle, without a condition"""
_INSTANCE = re.compile(r"\bat\b(?=[^\[]*\])")
"""the number of an instance in an index"""
_SELECTED = re.compile(r" \+: (\d+)\]$")


def prepare(modules: dict[str, str], chain: tuple[str, str] | None = None) -> dict[str, str]:
    """Files by name, without suffix and in the order to read them, from module texts by name.

    ``chain`` names a module and the one whose instances in it become a loop. Raises ValueError for a module
    that is no such chain.
    """
    shared: dict[str, str] = {}
    files = {name: _select(_share(text, shared)) for name, text in modules.items()}
    if chain is not None and set(chain) <= set(files):
        parent, leaf = chain
        files[parent] = _loop(files[parent], leaf, files.pop(leaf))
        files = {name: _pack_connections(text, parent) for name, text in files.items()}
    return {SHARED: "\n".join(shared.values()), **files} if shared else files


def loop_nets(modules: dict[str, str], chain: tuple[str, str]) -> list[dict[str, str]]:
    """Per instance of the loop that ``prepare`` makes of ``chain``: what its parent calls its ports and registers."""
    parent, leaf = chain
    instances, ports, registers = _chain(modules[parent], leaf, modules[leaf])
    read, written, _ = _places(leaf, ports, instances)
    _place_registers(leaf, registers, written)

    def at(index: int, place: str) -> str:
        return _INSTANCE.sub(str(index), place)

    nets: list[dict[str, str]] = []
    for index, instance in enumerate(instances):
        # what enters the chain is an element of its array only in the cycle after
        inputs = {
            name: instance[name] if index == 0 and read[name].endswith("[at]") else at(index, read[name])
            for name, (direction, _) in ports.items() if direction == "input"
        }
        outputs = {name: at(index, place.rpartition(" ")[0]) for name, place in written.items()}
        nets.append(inputs | outputs)
    return nets


def _share(text: str, shared: dict[str, str]) -> str:
    """Moves the functions of a module to ``shared``, by name; one whose name is taken is called otherwise."""
    text = _widen(_narrow(text))
    for function in list(_FUNCTION.finditer(text)):
        result, high, name, rest = function.groups()
        without = text.replace(function[0], "")
        is_task = int(high or 31) >= LONGEST_RESULT
        call = rf"\b(\w+) = {name}\(" if is_task else rf"\b{name}\("
        if len(re.findall(call, without)) != len(re.findall(rf"\b{name}\b", without)):
            # used otherwise than can be replaced
            continue
        for tried in itertools.count():
            alias = name + "_" * tried
            if is_task:
                moved = f"task automatic {alias}; /*verilator no_inline_task*/\n    output {result} {alias}_result;\n"
                moved += re.sub(rf"\b{name} = ", f"{alias}_result = ", rest).replace("endfunction", "endtask")
            else:
                moved = f"function automatic {result} {alias}; /*verilator no_inline_task*/\n"
                moved += re.sub(rf"\b{name} = ", f"{alias} = ", rest)
            if shared.setdefault(alias, moved) == moved:
                break
        text = re.sub(call, rf"{alias}(\1, " if is_task else f"{alias}(", without)
    return text


def _narrow(text: str) -> str:
    """The locals of 64 bits in a module that multiplies and adds, where its unrounded result alone is wider.

    That result is a magnitude with ``_PACKED`` bits below it; no other value has more bits than the magnitude.
    """
    packed = re.search(rf"^    reg signed \[(\d+):0\] raw;\n(?:.*\n)*? *raw = \(+magnitude << {_PACKED}\)", text,
                       re.MULTILINE)
    # a sum that is not normalised yet is as wide, and goes by other names
    if packed is None or "normalise_" in text or not LONGEST_RESULT <= int(packed[1]) < LONGEST_RESULT + _PACKED:
        return text
    unrounded = "|".join(["raw", *re.findall(r"^    (\w+) = raw;$", text, re.MULTILINE)])
    return re.sub(rf"^((?:function| *input| *reg) signed )\[{packed[1]}:0\] (?!(?:{unrounded});)",
                  rf"\1[{LONGEST_RESULT - 1}:0] ", text, flags=re.MULTILINE)


def _widen(text: str) -> str:
    """The locals of 33 to 63 bits, all of which hold signed numbers with room to spare, as integers of C++."""
    return re.sub(r"^((?:function| *input| *reg) signed )\[(?:3[2-9]|[45]\d|6[0-2]):0\]",
                  rf"\1[{LONGEST_RESULT - 1}:0]", text, flags=re.MULTILINE)


def _select(text: str) -> str:
    """Part selects in place of the shifts that take a lane out of a wide word, or put one into it."""
    widths: dict[str, int] = {}
    for high, name in _DECLARATION.findall(text):
        # locals of several processes may share a name: what holds for the narrowest holds for all
        widths[name] = min(int(high) + 1, widths.get(name, 1 << 30))

    def wide(name: str) -> bool:
        return widths.get(name, 0) > _WIDE

    def take(match: re.Match[str]) -> str:
        word, index, mask = match[1] or match[2], match[3], _number(match[0].rsplit(" & ", 1)[1][:-1])
        return f"{word}[{index} +: {mask.bit_length()}]" if wide(word) and _ones(mask) else match[0]

    def put(match: re.Match[str]) -> str:
        indent, word, lane, index = match.groups()
        selected = _SELECTED.search(lane)
        width = int(selected[1]) if selected else widths.get(lane.split("[")[0], 0)
        if not wide(word) or not width or (not selected and "[" in lane and not _is_memory(lane, text)):
            return match[0]
        place = f"{word}[{index} +: {width}]"
        return f"{indent}{place} = ({place} | {lane});"

    def merge(match: re.Match[str]) -> str:
        indent, word, source, mask_text, index = match.groups()
        mask = _number(mask_text)
        if not (wide(word) and wide(source.split("[")[0]) and _ones(mask)):
            return match[0]
        place = f"[{index} +: {mask.bit_length()}]"
        return f"{indent}{word}{place} = ({word}{place} | {source}{place});"

    return _MERGE.sub(merge, _PUT.sub(put, _TAKE.sub(take, text)))


def _loop(text: str, leaf: str, leaf_text: str) -> str:
    """The module with its chain of instances of ``leaf``, one clocked process each, as one process with a loop.

    Instance i takes what all of them take, lane i of a port, or an output of instance i - 1; it drives lane i of a
    port, instance i + 1, or nothing. From the last to the first, no instance sees the new state of another.
    """
    instances, ports, registers = _chain(text, leaf, leaf_text)
    text = re.sub(rf"^wire (?:\[.*\] )?{leaf}_\d+_\w+;\n", "", _instances(leaf).sub("", text), flags=re.MULTILINE)
    text = _pack_ports(text)
    process = re.findall(r"^always @\(posedge clock\) begin: \w+\n((?:    (?:reg|integer) .*\n)*)((?:    .*\n)*)end$",
                         leaf_text, re.MULTILINE)
    if len(process) != 1 or len(re.findall(r"^(?:always|assign|function) ", leaf_text, re.MULTILINE)) != 1:
        raise ValueError(f"{leaf} is not one clocked process")
    locals_, body = process[0]
    count = len(instances)
    read, written, enter = _places(leaf, ports, instances)
    _place_registers(leaf, registers, written)
    arrays, start, now = "", "", ""
    for high, name, value in registers:
        if written[name].endswith("<="):
            if value != "0":
                raise ValueError(f"{name} of {leaf} does not start at 0")
            continue
        vector = f"[{high}:0] " if high else ""
        read[name] = f"{name}_now"
        # of as many elements as the index can tell, or every access is checked
        arrays += f"reg {vector}{leaf}_{name} [0:{(1 << count.bit_length()) - 1}];\n"
        start += f"    {leaf}_{name}[at] = {value};\n"
        if re.search(rf"\b{name}\b(?! <= )", body):
            locals_ += f"    reg {vector}{name}_now;\n"
            now += f"    {name}_now = {written[name].removesuffix(' =')};\n"

    def rename(match: re.Match[str]) -> str:
        before, name, low, assigned = match.groups()
        if before is not None and assigned and name in written:
            return f"{before}{written[name]} "
        place = read.get(name, name)
        if low:
            place = re.sub(r"\+: \d+\]$", f"+: {low}]", place) if "+:" in place else f"{place}[{low}-1:0]"
        return f"{before or ''}{place}{assigned or ''}"

    body = re.sub(r"(^ *|: )?(?<!')\b([A-Za-z_]\w*)(?:\[(\d+)-1:0\])?( <= )?", rename, body, flags=re.MULTILINE)
    enter += "".join(f"    {vector} <= {source};\n" for vector, _, source in _EVERY_LANE.findall(body))
    body = _EVERY_LANE.sub("", body)
    # Verilator unrolls a loop between constants
    loop = f"""\
{arrays}integer {leaf}_last = {count - 1};

initial begin: start_{leaf}
    integer at;
    for (at = 0; at <= {count}; at = at + 1) begin
{start}    end
end

always @(posedge clock) begin: every_{leaf}
    integer at;
{locals_}{enter}    for (at = {leaf}_last; at >= 0; at = at - 1) begin
{now}{body}    end
end

endmodule"""
    if re.search(rf"_lane\d|\b{leaf}_\d|\+: \d+\]\[|_now\[[^\]]*\] <= [^)]*;", text + loop):
        raise ValueError(f"the instances of {leaf} are not a chain")
    return text.replace("endmodule", loop)


def _chain(
    text: str, leaf: str, leaf_text: str
) -> tuple[list[dict[str, str]], dict[str, tuple[str, int]], list[tuple[str, str, str]]]:
    """What each instance of ``leaf`` is connected to, and ``leaf``'s ports and registers."""
    instances = [dict(_CONNECTION.findall(found)) for found in _instances(leaf).findall(text)]
    return instances, _ports(leaf_text), _REGISTER.findall(leaf_text)


def _place_registers(leaf: str, registers: list[tuple[str, str, str]], written: dict[str, str]) -> None:
    """Adds to ``written`` the registers that no other instance and no port sees: an array of their own."""
    for _, name, _ in registers:
        written.setdefault(name, f"{leaf}_{name}[at] =")


def _places(
    leaf: str, ports: dict[str, tuple[str, int]], instances: list[dict[str, str]]
) -> tuple[dict[str, str], dict[str, str], str]:
    """For the loop over ``instances``: what is read for a port, how it is assigned, and what enters the chains."""
    read = {name: name for name in ports}
    written: dict[str, str] = {}
    enter = ""
    for port, (direction, width) in ports.items():
        nets = [instance[port] for instance in instances]
        vector = nets[0].removesuffix("_lane0")
        before = [name for name in ports if nets[1:] == [instance[name] for instance in instances[:-1]]]
        if nets == [f"{vector}_lane{lane}" for lane in range(len(instances))]:
            read[port] = f"{vector}[(at * {width}) +: {width}]"
            if direction == "output":
                written[port] = f"{read[port]} <="
        elif direction == "input" and len(set(nets)) == 1:
            read[port] = nets[0]
        elif direction == "input" and before:
            # of one element more: what enters the chain comes first
            read[port], written[before[0]] = f"{leaf}_{before[0]}[at]", f"{leaf}_{before[0]}[at + 1] ="
            enter += f"    {leaf}_{before[0]}[0] = {nets[0]};\n"
        elif direction == "input":
            raise ValueError(f"{port} of {leaf} is not connected as in a chain")
    return read, written, enter


def _pack_ports(text: str) -> str:
    """The module with ports ``x_lane0`` ... as one vector ``x``, lane 0 in the low bits; an output is a register."""
    lanes: dict[str, int] = {}
    for name, lane in re.findall(r"^(?:in|out)put .* (\w+)_lane(\d+);$", text, re.MULTILINE):
        lanes[name] = max(lanes.get(name, 0), int(lane) + 1)

    def declare(match: re.Match[str]) -> str:
        direction, high, name = match.groups()
        vector = f"[{lanes[name] * (int(high) + 1) - 1}:0] {name}"
        return f"{direction} {vector};\n" if direction == "input" else f"output reg {vector} = 0;\n"

    text = re.sub(r",\n *\w+_lane[1-9]\d*(?=,?\n)", "", text)
    text = re.sub(r"^( *\w+)_lane0(?=,?\n)", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^(?:wire .*_lane\d+|(?:in|out)put .*_lane[1-9]\d*);\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^(input|output) \[(\d+):0\] (\w+)_lane0;\n", declare, text, flags=re.MULTILINE)


def _pack_connections(text: str, module: str) -> str:
    """The module with instances of ``module`` connected as ``_pack_ports`` needs it, lanes of wires packed likewise."""
    if f"\n{module} " not in text:
        return text

    def connect(instance: re.Match[str]) -> str:
        lanes: dict[str, list[str]] = {}

        def collect(match: re.Match[str]) -> str:
            lanes.setdefault(match[1], []).append(match[3])
            return f"    .{match[1]}(@{match[1]}@),\n" if match[2] == "0" else ""

        packed = re.sub(r"^    \.(\w+)_lane(\d+)\((.*)\),\n", collect, instance[0].replace(")\n);", "),\n);"),
                        flags=re.MULTILINE)
        for port, wires in lanes.items():
            packed = packed.replace(f"@{port}@", _concatenation(wires))
        return packed.replace("),\n);", ")\n);")

    text = re.sub(rf"^{module} \w+ \(\n.*?^\);$", connect, text, flags=re.MULTILINE | re.DOTALL)
    declared = r"^wire \[(\d+):0\] (\w+)_lane(\d+);\n"
    widths: dict[str, list[int]] = {}
    for high, name, _ in re.findall(declared, text, re.MULTILINE):
        widths.setdefault(name, []).append(int(high) + 1)

    def declare(match: re.Match[str]) -> str:
        return "" if match[3] != "0" else f"wire [{sum(widths[match[2]]) - 1}:0] {match[2]};\n"

    def join(match: re.Match[str]) -> str:
        name = match[1]
        whole = _concatenation([f"{name}_lane{lane}" for lane in range(len(widths.get(name, [])))])
        return name if match[0] == whole else match[0]

    def take(match: re.Match[str]) -> str:
        name, lane = match[1], int(match[2])
        return f"{name}[{lane * widths[name][0]} +: {widths[name][0]}]" if name in widths else match[0]

    # a few passes over the text, which is megabytes long for a large array
    text = re.sub(declared, declare, text, flags=re.MULTILINE)
    return _LANE.sub(take, re.sub(r"\{(\w+)_lane\d+(?:, \w+)*\}", join, text))


def _ports(text: str) -> dict[str, tuple[str, int]]:
    """Direction and width of a module's ports, by name."""
    return {name: (direction, int(high or 0) + 1) for direction, high, name in _PORT.findall(text)}


def _instances(module: str) -> re.Pattern[str]:
    """The instances of a module; the group is what they are connected to."""
    return re.compile(rf"^{module} \w+ \(\n(.*?)^\);\n\n?", re.MULTILINE | re.DOTALL)


def _concatenation(lanes: list[str]) -> str:
    """Lane 0 in the low bits."""
    return f"{{{', '.join(reversed(lanes))}}}"


def _is_memory(element: str, text: str) -> bool:
    """Whether ``name[index]`` is a word of a memory rather than a bit of a vector."""
    return re.search(rf"\] {element.split('[')[0]} \[0:", text) is not None


def _number(text: str) -> int:
    return int(text.split("'h")[1], 16) if "'h" in text else int(text)


def _ones(mask: int) -> bool:
    return mask & (mask + 1) == 0
