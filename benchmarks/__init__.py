"""What Benchwire costs, measured from outside and side by side with other ways to do the same. See docs/performance.md."""
