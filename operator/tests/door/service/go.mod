module plinth.dev/operator/tests/door/service

go 1.26
