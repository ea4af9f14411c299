"""Makes many small parts of the log into one a day. Called by `housekeeping` after training.

    before   dt=1: predictions-a-0 … predictions-b-9, labels-a-0      dt=2: labels-a-1 (some for rows of dt=1)
    after    dt=1: compacted-<digest of the parts>                     dt=2: labels-rest-<digest of the parts>

Crash-safe without a transaction: the new part is written whole and read back before the old ones are deleted. Killed
in between, rows lie in two parts, which every reader counts once, and the next run compacts both away. Days on
which something may still be written are left alone. A label that comes after its day was compacted joins when the log
is read, and by the next compaction for good.
"""

import hashlib
import io
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from modelmend.contract import log, storage
from modelmend.runtime import predictionlog, store
from modelmend.runtime.errors import StoreError
from modelmend.runtime.predictionlog import KEY, Part

_log = logging.getLogger(__name__)

SETTLED: Final = timedelta(days=1)
"""How long after its end a day is left alone: writers flush late, and most labels come soon."""
_REST: Final = f"{log.LABELS}-rest"


def compact(log_uri: str, now: datetime, check: Callable[[], None] = lambda: None) -> int:
    """Makes one part of each settled day, with the labels that are known by now. Returns the days rewritten.

    `check` is called between days and may raise to stop. Raises StoreError.
    """
    settled = (now.astimezone(UTC) - SETTLED).date()
    listed = predictionlog.parts(log_uri)
    days = sorted({part.day for part in listed if part.day < settled})
    if not days:
        return 0
    labels = {}
    for part in listed:
        if part.kind == log.LABELS and (frame := _read_labels(log_uri, part)) is not None:
            labels[part] = frame
    known = _first_labels(labels.values())
    # Labels may belong to any earlier day, also to one that is compacted already. What an earlier run left over was
    # compared with all of them, so it is no reason to read them again.
    new_labels = any(part.day < settled and _REST not in part.name for part in labels)
    rewritten, joined = 0, [known.iloc[:0][KEY]]
    for day in days:
        check()
        own = [part for part in listed if part.day == day and part.kind != log.LABELS]
        many = len(own) > 1 or any(part.kind == log.PREDICTIONS for part in own)
        if many or (own and new_labels):
            keys, changed = _compact_day(log_uri, own, known, rewrite=many)
            joined.append(keys)
            rewritten += changed
    keys_joined = pd.MultiIndex.from_frame(pd.concat(joined))
    for day in days:
        check()
        _keep_the_rest(
            log_uri, {part: frame for part, frame in labels.items() if part.day == day}, keys_joined
        )
    if rewritten:
        _log.info("compacted %d days of the log", rewritten)
    return rewritten


def _compact_day(
    log_uri: str, own: Sequence[Part], known: pd.DataFrame, *, rewrite: bool
) -> tuple[pd.DataFrame, bool]:
    """Replaces the parts of one day by one, if `rewrite` says so or a label joins. Returns the keys of the labelled
    rows, and whether anything was written."""
    read = {part: table for part in own if (table := _read_predictions(log_uri, part)) is not None}
    if not read:
        return known.iloc[:0][KEY], False
    earlier = [_labels_within(table) for part, table in read.items() if part.kind == log.COMPACTED]
    table = pa.concat_tables(read.values(), promote_options="permissive")
    keys = table.select(KEY).to_pandas()
    once = (~keys.duplicated()).to_numpy()
    found = keys[once].merge(_first_labels([known, *earlier]), on=KEY, how="left")
    labelled = found[log.LABEL].notna()
    rewrite = rewrite or int(labelled.sum()) > sum(map(len, earlier))
    if rewrite:
        table = table.filter(pa.array(once))
        table = table.drop_columns(
            [name for name in (log.LABEL, log.LABEL_TIME) if name in table.column_names]
        )
        table = table.append_column(log.LABEL, pa.array(found[log.LABEL], pa.string(), from_pandas=True))
        times = pa.array(found[log.LABEL_TIME], pa.timestamp("us", "UTC"), from_pandas=True)
        table = table.append_column(log.LABEL_TIME, times)
        _replace(log_uri, list(read), log.COMPACTED, table.sort_by([(log.TIME, "ascending")]))
    return found[labelled][KEY], rewrite


def _keep_the_rest(log_uri: str, labels: dict[Part, pd.DataFrame], joined: pd.MultiIndex) -> None:
    """Makes one part of the labels of a day that joined nothing yet."""
    everything = pd.concat(labels.values()) if labels else pd.DataFrame(columns=KEY)
    rest = everything[~pd.MultiIndex.from_frame(everything[KEY]).isin(joined)]
    if len(rest) == len(everything) and len(labels) <= 1:
        return
    table = pa.Table.from_pandas(rest.rename(columns={log.LABEL_TIME: log.TIME}), preserve_index=False)
    _replace(log_uri, list(labels), _REST, table)


def _replace(log_uri: str, old: Sequence[Part], kind: str, table: pa.Table) -> None:
    """Writes the table beside the parts that it was made of, reads it back, and deletes them."""
    names = "\n".join(sorted(f"{part.name} {part.size}" for part in old))
    folder = old[0].name.partition("/")[0]
    uri = storage.join(log_uri, folder, f"{kind}-{hashlib.sha256(names.encode()).hexdigest()[:32]}.parquet")
    if table.num_rows:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        store.write(uri, buffer.getvalue())
        if store.read(uri) != buffer.getvalue():
            raise StoreError(
                f"{store.shown(uri)} does not read back as it was written: nothing was deleted; check the store"
            )
    for part in old:
        store.delete(storage.join(log_uri, part.name))


def _read_predictions(log_uri: str, part: Part) -> pa.Table | None:
    """A part that holds what a prediction part must; others are left where they are."""
    table = predictionlog.read_part(log_uri, part)
    needed = {*KEY, log.TIME, *((log.LABEL, log.LABEL_TIME) if part.kind == log.COMPACTED else ())}
    return table if table is not None and needed <= set(table.column_names) else None


def _read_labels(log_uri: str, part: Part) -> Any:
    table = predictionlog.read_part(log_uri, part)
    if table is None or not {*KEY, log.LABEL, log.TIME} <= set(table.column_names):
        return None
    return (
        table.select([*KEY, log.LABEL, log.TIME])
        .rename_columns([*KEY, log.LABEL, log.LABEL_TIME])
        .to_pandas()
    )


def _labels_within(table: pa.Table) -> pd.DataFrame:
    frame = table.select([*KEY, log.LABEL, log.LABEL_TIME]).to_pandas()
    return frame[frame[log.LABEL].notna()]


def _first_labels(frames: Any) -> pd.DataFrame:
    columns = [*KEY, log.LABEL, log.LABEL_TIME]
    every = [frame for frame in frames if len(frame)]
    if not every:
        return pd.DataFrame(
            {
                log.PREDICTION_ID: pd.Series(dtype="str"),
                log.ROW: pd.Series(dtype="int64"),
                log.LABEL: pd.Series(dtype="str"),
                log.LABEL_TIME: pd.Series(dtype="datetime64[us, UTC]"),
            }
        )
    return pd.concat(every)[columns].sort_values(log.LABEL_TIME, kind="stable").drop_duplicates(KEY)
