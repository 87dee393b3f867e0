"""flask-smorest's Api with lazy descriptions: they are two thirds of the time that an application takes to make."""

import threading

from apispec import APISpec
from flask_smorest import Api, Blueprint


class LazyApi(Api):
    """Registers the routes of blueprints at once, and puts them into the API document when `spec` is first read."""

    def __init__(self) -> None:
        self._spec: APISpec | None = None
        self._undescribed: list[Blueprint] = []
        self._describing = threading.RLock()  # what describes reads `spec` too
        super().__init__()

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
            return self._spec  # type: ignore[return-value]  # before `init_app` only Api itself reads it

    @spec.setter
    def spec(self, spec: APISpec | None) -> None:
        self._spec = spec
        self._undescribed = []
