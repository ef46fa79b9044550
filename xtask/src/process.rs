//! Other programs: run, with an error that shows the command and what it printed.
