"""Events of jobs: published while a job runs, stored with it afterwards."""
