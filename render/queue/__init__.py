"""The render queue: schedules jobs, sends batches to workers, measures and reports."""
