"""flask-smorest's Api with lazy descriptions: they are two thirds of the time that an application takes to make."""

import threading
from typing import Any

from apispec import APISpec
from flask_smorest import Api, Blueprint
from marshmallow import fields, missing


def drop_default(_: Any, __: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Leave out the default of a body's field: openapi-typescript takes a field that has one for required."""
    ret.pop("default", None)
    return {}


def keep_default(_: Any, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Name the default of a parameter, which is optional all the same."""
    if field.load_default is not missing:
        ret["schema"]["default"] = field.load_default
    return {}


UNUSED = ("Error", "PaginationMetadata")  # schemas that flask-smorest brings along


class LazyApi(Api):
    """Registers the routes of blueprints at once, and puts them into the API document when `spec` is first read."""

    def __init__(self) -> None:
        self._spec: APISpec | None = None
        self._undescribed: list[Blueprint] = []
        self._describing = threading.RLock()  # what describes reads `spec` too
        super().__init__()

    def init_app(self, app: Any, **options: Any) -> None:
        """Make the document of an application, without its operations."""
        super().init_app(app, **options)
        self.ma_plugin.converter.add_attribute_function(drop_default)
        self.ma_plugin.converter.add_parameter_attribute_function(keep_default)

    def register_blueprint(self, blueprint: Blueprint) -> None:
        """Register a blueprint with the application, as `Api.register_blueprint` does, but for its description."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blueprint.name] = self
        self._app.register_blueprint(blueprint)
        self._undescribed.append(blueprint)

    @property
    def spec(self) -> APISpec:
        """The document, with all blueprints in it; made by `init_app`."""
        with self._describing:
            blueprints = self._undescribed
            self._undescribed = []
            for one in blueprints:
                one.register_views_in_doc(self, self._app, self._spec, name=one.name, parameters=None)
                self.spec.tag({"name": one.name, "description": one.description})
            for name in UNUSED if blueprints else ():
                self.spec.components.schemas.pop(name, None)
            return self._spec  # type: ignore[return-value]  # before `init_app` only Api itself reads it

    @spec.setter
    def spec(self, spec: APISpec | None) -> None:
        self._spec = spec
        self._undescribed = []
