module example.test/loadgen

go 1.22
