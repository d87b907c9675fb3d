"""The chart for Kubernetes, rendered with the tools that scripts/tools installs."""

import functools
import subprocess
from pathlib import Path

import yaml
from lab import Wrong

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "target" / "tools"
CHART = ROOT / "helm"

# The version of Kubernetes whose schemas count, as Helm and kubernetes-validate want it.
KUBERNETES = "1.37"


@functools.cache
def without_network():
    """This Helm was packed by a stranger: it gets no network where the system lets us take it away."""
    alone = ["unshare", "--map-root-user", "--net"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return alone


def helm(*args, stdin=None):
    """Runs Helm; gives what it wrote."""
    command = [*without_network(), TOOLS / "bin" / "helm", *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise Wrong(f"helm {' '.join(map(str, args))}\n{done.stdout}{done.stderr}")
    return done.stdout


def render(*args, name="carryover", stdin=None):
    """What the chart becomes with these arguments, as text."""
    return helm("template", name, CHART, "--kube-version", f"{KUBERNETES}.0", *args, stdin=stdin)


def objects(text):
    """The objects of a rendered chart."""
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


def value_sets():
    """The files of values that the chart is tried with."""
    return sorted((CHART / "ci").glob("*-values.yaml"))
