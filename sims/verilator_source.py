"""What Verilator is given: the converted modules, said in a way that it compiles and simulates fast.

The behaviour is the converter's, bit for bit; only the text changes:

- A function is inlined into every instance of its module, hundreds of times for the PEs' multiply-adder. Moved out of
  the modules, once, it stays one C++ function. Verilator can do that for results of up to 64 bits.
- A lane of a packed word is taken and put by shifts as wide as the word, so that all of them cost the square of it.
  They become part selects.
- Instances of a module that follow each other are grouped into a module of their own, marked as a hierarchical block:
  it is verilated once for all groups. What passes its border is copied, and each block costs time in every cycle, so
  the lanes of a port become one vector, and a group holds several instances.
"""

from __future__ import annotations

import re

SHARED = "shared_functions"
"""the file of the functions that were moved out of the modules"""
LONGEST_RESULT = 64
"""bits of the widest result of a function that Verilator can leave a function"""
_WIDE = 64
"""bits from which the shifts of a word are worth rewriting"""

_FUNCTION = re.compile(r"^function (signed \[(\d+):0\]|integer) (\w+);\n(.*?^endfunction\n)", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^(input|output) (?:\[(\d+):0\] )?(\w+);$", re.MULTILINE)
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
_SELECTED = re.compile(r" \+: (\d+)\]$")


def prepare(modules: dict[str, str], block: str | None = None, size: int = 1) -> dict[str, str]:
    """Files by name, without suffix and in the order to read them, from module texts by name.

    Every ``size`` instances of the module ``block`` become a hierarchical block. Raises ValueError when the groups are
    not alike.
    """
    shared: dict[str, str] = {}
    files = {name: _select(_share(text, shared)) for name, text in modules.items()}
    if block is not None:
        files[block] = _pack_ports(files[block])
        ports = _ports(files[block])
        for name, text in list(files.items()):
            if f"\n{block} " in text:
                files[name], files[f"{block}_group"] = _group(_pack_connections(text, block), block, ports, size)
    return {SHARED: "\n".join(shared.values()), **files} if shared else files


def _share(text: str, shared: dict[str, str]) -> str:
    """Moves the functions of a module to ``shared``, by name; another function of a name stays where it is."""

    def move(match: re.Match[str]) -> str:
        result, high, name, rest = match.groups()
        if int(high or 31) >= LONGEST_RESULT:
            return match[0]
        moved = f"function automatic {result} {name}; /*verilator no_inline_task*/\n{rest}"
        return "" if shared.setdefault(name, moved) == moved else match[0]

    return _FUNCTION.sub(move, text)


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


def _pack_ports(text: str) -> str:
    """The module with ports ``x_lane0`` ... as one vector ``x``, lane 0 in the low bits."""
    head, body = text.split(");\n", 1)
    lanes = _lanes(head)
    head = re.sub(r",\n( *\w+_lane[1-9]\d*)(?=,?\n)", "", head)
    head = re.sub(r"\b(\w+)_lane0\b", r"\1", head)
    for name, count in lanes.items():
        width = int(_found(rf"^(?:in|out)put \[(\d+):0\] {name}_lane0;$", body)[1]) + 1
        is_input = _found(rf"^(in|out)put \[\d+:0\] {name}_lane0;$", body)[1] == "in"
        # the lanes stay as wires, for the body to use
        body = re.sub(rf"^input (\[\d+:0\] {name}_lane\d+;)$", r"wire \1", body, flags=re.MULTILINE)
        body = re.sub(rf"^output \[\d+:0\] {name}_lane\d+;\n", "", body, flags=re.MULTILINE)
        vector = f"[{count * width - 1}:0] {name};\n"
        if is_input:
            joins = "".join(
                f"assign {name}_lane{lane} = {name}[{lane * width} +: {width}];\n" for lane in range(count)
            )
        else:
            joins = f"assign {name} = {_concatenation([f'{name}_lane{lane}' for lane in range(count)])};\n"
        body = f"{'input' if is_input else 'output'} {vector}{body}".replace("\nendmodule", f"\n{joins}\nendmodule", 1)
    return f"{head});\n{body}"


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
    for high, name in re.findall(r"^wire \[(\d+):0\] (\w+)_lane0;$", text, re.MULTILINE):
        width = int(high) + 1
        declared = rf"^wire \[{high}:0\] {name}_lane\d+;\n"
        count = len(re.findall(declared, text, re.MULTILINE))
        text = re.sub(declared, f"wire [{count * width - 1}:0] {name};\n", text, count=1, flags=re.MULTILINE)
        text = re.sub(declared, "", text, flags=re.MULTILINE)
        text = text.replace(_concatenation([f"{name}_lane{lane}" for lane in range(count)]), name)
        for lane in range(count):
            text = re.sub(rf"\b{name}_lane{lane}\b", f"{name}[{lane * width} +: {width}]", text)
    return text


def _ports(text: str) -> dict[str, tuple[str, int]]:
    """Direction and width of a module's ports, by name."""
    return {name: (direction, int(high or 0) + 1) for direction, high, name in _PORT.findall(text)}


def _group(text: str, module: str, ports: dict[str, tuple[str, int]], size: int) -> tuple[str, str]:
    """The module with every ``size`` instances of ``module`` replaced by one of a group, and the group's text."""
    found = list(re.finditer(rf"^{module} (\w+) \(\n.*?^\);$", text, re.MULTILINE | re.DOTALL))
    groups = [found[at:at + size] for at in range(0, len(found), size)]
    if len(found) % size:
        raise ValueError(f"{len(found)} instances of {module} do not make groups of {size}")
    connections = [[dict(_CONNECTION.findall(match[0])) for match in group] for group in groups]
    rest = re.sub(rf"^(?:wire \[?.*;|{module} \w+ \(\n(?:.*\n)*?\);)$", "", text, flags=re.MULTILINE)
    # an output leaves the group if that of any group is used elsewhere
    leaving = set()
    for index, group in enumerate(connections):
        elsewhere = [rest, *(net for at, other in enumerate(connections) if at != index
                             for instance in other for port, net in instance.items() if ports[port][0] == "input")]
        used = set(re.findall(r"\w+", " ".join(elsewhere)))
        for position, instance in enumerate(group):
            for port, net in instance.items():
                if ports[port][0] == "output" and used & set(re.findall(r"[A-Za-z_]\w*", net)):
                    leaving.add((position, port))

    texts = set()
    for number, (matches, group) in enumerate(zip(groups, connections, strict=True)):
        inside, outside = _group_module(module, group, ports, leaving)
        texts.add(inside)
        lines = ",\n".join(f"    .{name}({net})" for name, net in outside.items())
        text = text.replace(matches[0][0], f"{module}_group {module}_group_{number} (\n{lines}\n);", 1)
        for match in matches[1:]:
            text = text.replace(f"{match[0]}\n", "", 1)
    if len(texts) != 1:
        raise ValueError(f"groups of {size} of {module} are not alike")
    return text, texts.pop()


def _group_module(
    module: str, group: list[dict[str, str]], ports: dict[str, tuple[str, int]], leaving: set[tuple[int, str]]
) -> tuple[str, dict[str, str]]:
    """The module of one group, and what its ports are connected to."""
    driven = {
        net: f"{port}_{position}" for position, instance in enumerate(group) for port, net in instance.items()
        if ports[port][0] == "output"
    }
    names: dict[str, str] = {}
    outside: dict[str, str] = {}
    declarations, instances = [], []
    for position, instance in enumerate(group):
        lines = []
        for port, net in instance.items():
            direction, width = ports[port]
            name = driven.get(net) or names.setdefault(net, f"{port}_{position}")
            if f"{port}_{position}" == name:
                outer = direction == "input" or (position, port) in leaving
                vector = f" [{width - 1}:0]" if width > 1 else ""
                declarations.append(f"{direction if outer else 'wire'}{vector} {name};")
                if outer:
                    outside[name] = net
            lines.append(f"    .{port}({name})")
        instances.append(f"{module} {module}_{position} (\n" + ",\n".join(lines) + "\n);")
    head = f"module {module}_group ({', '.join(outside)}); /*verilator hier_block*/"
    return "\n".join([head, *declarations, *instances, "endmodule", ""]), outside


def _lanes(head: str) -> dict[str, int]:
    """How many lanes each port of lanes has."""
    lanes: dict[str, int] = {}
    for name, lane in _LANE.findall(head):
        lanes[name] = max(lanes.get(name, 0), int(lane) + 1)
    return lanes


def _concatenation(lanes: list[str]) -> str:
    """Lane 0 in the low bits."""
    return f"{{{', '.join(reversed(lanes))}}}"


def _found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"no {pattern} in a module that has lanes")
    return match


def _is_memory(element: str, text: str) -> bool:
    """Whether ``name[index]`` is a word of a memory rather than a bit of a vector."""
    return re.search(rf"\] {element.split('[')[0]} \[0:", text) is not None


def _number(text: str) -> int:
    return int(text.split("'h")[1], 16) if "'h" in text else int(text)


def _ones(mask: int) -> bool:
    return mask & (mask + 1) == 0
