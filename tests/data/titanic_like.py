"""A made table with the columns of the Titanic's: numbers, categories, empty cells."""

import numpy as np
import pandas as pd


def titanic_like(rows=200, seed=0):
    """The chance to survive falls with the class and is higher for women."""
    rng = np.random.default_rng(seed)
    gender, place = (
        rng.choice(["female", "male"], rows, p=[0.3, 0.7]),
        rng.choice(["1st", "2nd", "3rd"], rows),
    )
    chance = 0.1 + 0.5 * (gender == "female") + 0.2 * (place == "1st")
    frame = pd.DataFrame(
        {
            "gender": gender,
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.uniform(1, 70, rows).round()),
            "class": place,
            "embarked": np.where(
                rng.random(rows) < 0.05, None, rng.choice(["Cherbourg", "Southampton"], rows)
            ),
            "fare": rng.gamma(2.0, 15.0, rows).round(2),
            "sibsp": rng.integers(0, 3, rows),
            "parch": rng.integers(0, 3, rows),
            "survived": (rng.random(rows) < chance).astype(int),
        }
    )
    return frame
