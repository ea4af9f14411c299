"""The command line: words to calls, errors to one sentence, answers to standard output."""

import argparse
import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from localcluster import binaries, cluster, controlplane, images, kind, kubernetes, lock, processes, settings
from localcluster.addons import storage
from localcluster.errors import LocalClusterError


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.do(options, settings.from_environment())
        sys.stdout.flush()
    except LocalClusterError as error:
        print(f"localcluster: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # `… | head` has read enough. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("localcluster: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("binaries", help="build or fetch every program into the cache")
    one.add_argument("--path", metavar="NAME", help="only this program; print its path")
    one.set_defaults(do=_binaries)

    one = commands.add_parser("control-plane", help="etcd and kube-apiserver alone, without root")
    one.add_argument("action", choices=["up", "down"])
    one.add_argument("--state", type=Path, help="folder for data, logs and keys")
    one.add_argument(
        "--controller-manager", action="store_true", help="also garbage collection, Jobs, Deployments"
    )
    one.set_defaults(do=_control_plane)

    one = commands.add_parser("up", help="a node with DNS, metrics, a gateway and volumes")
    one.set_defaults(do=_up)

    one = commands.add_parser("down", help="end it and leave nothing behind")
    one.add_argument("--purge", action="store_true", help="also remove loaded images, keys and logs")
    one.set_defaults(do=_down)

    one = commands.add_parser("status", help="what runs, and where it answers")
    one.add_argument("-o", "--output", choices=["text", "json", "env"], default="text")
    one.set_defaults(do=_status)

    one = commands.add_parser("images", help="build images and load them: the operator's and the runtime's")
    one.add_argument("names", nargs="*", metavar="NAME", help=f"others: {', '.join(images.NAMES)}")
    one.set_defaults(do=_images)

    one = commands.add_parser("volumes", help="empty the volumes that were given back, and offer them again")
    one.set_defaults(do=_volumes)

    one = commands.add_parser("kubeconfig", help="print the path of the cluster's kubeconfig")
    one.set_defaults(do=lambda _, chosen: print(chosen.kubeconfig))
    return parser


def _engine(chosen: settings.Settings) -> str:
    """kind or node: what runs already, else what was asked for, else kind where Docker answers."""
    described = cluster.recorded(chosen)
    if described is not None:
        return str(described["engine"])
    if processes.Processes(chosen.state).names():
        return "node"  # an `up` that was interrupted
    if chosen.engine != "auto":
        return chosen.engine
    return "kind" if kind.docker_answers() else "node"


def _binaries(options: argparse.Namespace, chosen: settings.Settings) -> None:
    if options.path:
        print(binaries.find(chosen.cache, options.path))
        return
    # Only root can make the base image; it and the wheels come in beside the compilers.
    also = [lambda: images.prepare(chosen)] if os.geteuid() == 0 else []
    for name, path in cluster.obtain(chosen, also).items():
        print(f"{name:26} {path}")


def _control_plane(options: argparse.Namespace, chosen: settings.Settings) -> None:
    state = (options.state or settings.state_folder() / "control-plane").absolute()
    with lock.held(state / "lock"):
        if options.action == "down":
            controlplane.stop(state)
            return
        shape = controlplane.Shape(controller_manager=options.controller_manager)
        print(controlplane.start(state, shape, cache=chosen.cache).kubeconfig)


def _up(_: argparse.Namespace, chosen: settings.Settings) -> None:
    with lock.held(chosen.state / "lock"):
        described = kind.up(chosen) if _engine(chosen) == "kind" else cluster.up(chosen)
    print(json.dumps(dataclasses.asdict(described), indent=1))


def _down(options: argparse.Namespace, chosen: settings.Settings) -> None:
    with lock.held(chosen.state / "lock"):
        if _engine(chosen) == "kind":
            kind.down(chosen)
        else:
            cluster.down(chosen, purge=options.purge)


def _images(options: argparse.Namespace, chosen: settings.Settings) -> None:
    if unknown := [name for name in options.names if name not in images.NAMES]:
        raise LocalClusterError(f"There is no image {unknown[0]}: name some of {', '.join(images.NAMES)}.")
    wanted = images.chosen(options.names)
    with lock.held(chosen.state / "lock"):
        if _engine(chosen) == "kind":
            names = kind.load_images(chosen, wanted)
        else:
            cluster.refuse_without_root()
            names = images.ensure(chosen, wanted)
    print("\n".join(names))


def _volumes(_: argparse.Namespace, chosen: settings.Settings) -> None:
    described = cluster.recorded(chosen)
    if described is None:
        raise LocalClusterError("No cluster is up, so there are no volumes to take back: run `up` first.")
    kubectl = kubernetes.Kubectl(Path(described["kubectl"]), chosen.kubeconfig)
    with lock.held(chosen.state / "lock"):
        if described["engine"] == "kind":
            names = storage.reclaim(kind.in_docker(chosen), kubectl, Path(kind.VOLUMES))
        else:
            names = storage.reclaim(chosen, kubectl, storage.make_folders(chosen))
    print("\n".join(names) if names else "no volume was given back")


def _status(options: argparse.Namespace, chosen: settings.Settings) -> None:
    described = cluster.recorded(chosen)
    pids = {} if described and described["engine"] == "kind" else cluster.running(chosen)
    if options.output == "json":
        is_up = described is not None and all(pids.values())
        print(json.dumps({"up": is_up, "processes": pids, **(described or {})}, indent=1))
    elif options.output == "env":
        for name, value in (described or {}).items():
            print(f"export MODELMEND_CLUSTER_{name.upper()}={shlex.quote(str(value))}")
    else:
        for name, pid in pids.items():
            print(f"{name:26} {f'runs, pid {pid}' if pid else 'is not running'}")
        for name, value in (described or {"cluster": "is not up"}).items():
            print(f"{name:26} {value}")
