"""Endpoints, one module per area. Each declares its calls, calls one service and renders."""
