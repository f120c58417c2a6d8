"""The widget in a notebook. The only place that imports anywidget."""

from .entry import explore
from .explorer import LeGradWidget
from .inspect_widget import InspectWidget, SavedInspectWidget, inspect, open_inspection
from .wire import Status

__all__ = [
    "InspectWidget",
    "LeGradWidget",
    "SavedInspectWidget",
    "Status",
    "explore",
    "inspect",
    "open_inspection",
]
