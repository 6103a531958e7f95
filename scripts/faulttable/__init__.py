"""The fault suite of the tests, played through a bare mitmdump and through rotator, for a person to read."""
