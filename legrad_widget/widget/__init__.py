"""The widget in a notebook. The only place that imports anywidget."""

from .entry import explore
from .explorer import LeGradWidget
from .wire import Status

__all__ = ["LeGradWidget", "Status", "explore"]
