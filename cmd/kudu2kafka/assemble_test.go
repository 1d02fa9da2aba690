package main

import (
	"net"
	"testing"
)

func TestListenerThatIsTakenExitsWithTwo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := "http://" + taken.Addr().String()
	h := newHarness(t, nil, "listeners: "+address+"\n")
	h.newWorker = newProcess
	h.want(t, h.runFiles(), exitUsage, "listeners: "+address+" is taken by another process: choose another port, or 0 for any free one\n")
}

func TestListenerForEverybodyWithoutAPasswordExitsWithTwo(t *testing.T) {
	h := newHarness(t, nil, "listeners: http://0.0.0.0:0\n")
	h.newWorker = newProcess
	h.want(t, h.runFiles(), exitUsage, h.files[0]+":3: listeners: http://0.0.0.0:0 would let anyone on the network change connectors: set rest.basic.auth.users,")
}
