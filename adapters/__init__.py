"""The platform adapters: each adapter turns payloads of its platform into values and views into payloads."""
