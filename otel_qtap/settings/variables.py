# SPDX-License-Identifier: Apache-2.0
"""Environment variables as a checked model."""

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class Variables(BaseSettings):
    """Variables with one prefix. Takes what ``loading`` found and reads no environment by itself: the
    OTLP variables of one signal would else be found under their general names.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the constructor is given."""
        return (init_settings,)
