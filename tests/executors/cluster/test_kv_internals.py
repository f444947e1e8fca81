"""Private names of Ray that we rely on."""

import inspect

from ray.experimental import internal_kv


def test_rays_store_of_small_things_has_the_names_that_we_use():
    wanted = {
        "_internal_kv_put": ("key", "value", "overwrite", "namespace"),
        "_internal_kv_get": ("key", "namespace"),
        "_internal_kv_list": ("prefix", "namespace"),
        "_internal_kv_del": ("key", "namespace"),
    }
    for name, parameters in wanted.items():
        found = inspect.signature(getattr(internal_kv, name)).parameters
        assert set(parameters) <= set(found), name
