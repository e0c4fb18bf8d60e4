# Short names; the work is done by the scripts.
.PHONY: run test bench campaign
run:
	./run
test:
	./test
bench:
	scripts/bench
campaign:
	scripts/campaign $(SEED)
