"""One node put together: its folder, its configuration, its parts, its life."""
