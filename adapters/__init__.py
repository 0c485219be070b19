"""The platforms: each adapter turns payloads into values and draws views on its own screen."""
