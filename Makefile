# Short names; the work is done by the scripts.
.PHONY: run test bench
run:
	./run
test:
	./test
bench:
	scripts/bench
