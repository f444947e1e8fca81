"""What the driver must know of the study of an ended search, without an engine.

The study file and the data are loaded, as ever, in a process of its own: one that has imported
nothing. A function study is known a second later; another one imports TensorFlow by itself.
"""

from __future__ import annotations

import os

from tuning.engines.remote import Connection
from tuning.study.info import StudyInfo
from tuning.trials.jobs import Overrides, Source


def serve(connection: Connection, source: Source, overrides: Overrides) -> None:
    """Be the process: load study and data, say what they are.

    Args:
        connection: To the driver.
        source, overrides: The study.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    connection.send((None, facts_of(source, overrides)))


def facts_of(source: Source, overrides: Overrides) -> StudyInfo:
    """Return what is known of a study without its engine and its builder's model.

    Raises:
        StudyError: The study or its data is wrong.
        MissingError: Data or a package is not there.
    """
    from tuning.data.facts import notices_on
    from tuning.scoring.imbalance import imbalance_advice
    from tuning.study.info import dataset_facts, describe
    from tuning.study.source import load_source
    from tuning.study.study_data import count_folds, load_dataset, split_dataset
    from tuning.study.study_file import find_study

    study = load_source(source, overrides)
    dataset = load_dataset(study)
    parts = split_dataset(study, dataset)
    return describe(
        study,
        dataset_facts(dataset, parts),
        file=str(find_study(source)) if isinstance(source, str) else "",
        notices=(
            *notices_on(dataset),
            *parts.notices,
            *imbalance_advice(study, dataset),
            *study.space.notes,
        ),
        n_folds=count_folds(study, parts),
        trains_to_test=parts.trains_to_test,
    )
