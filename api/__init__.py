"""The face: HTTP only. It validates, calls the core, waits where asked, and shapes answers.

Read in this order: `app` (composition), `routes/`, `waiting` (news of jobs), `answering` (how a job's
end becomes an HTTP answer), `auth`, `errors`, `schemas/` (bodies), `views` (objects shown).
"""
