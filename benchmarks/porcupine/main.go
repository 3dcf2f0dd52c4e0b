// Command porcupine decides a history of single slots with the general checker of github.com/anishathalye/porcupine, so
// that its time can be set against slotproof's on the same history.
//
// Input: little-endian int64 records (slot, function, reply, booking, invoke, complete); an unknown outcome may happen
// at any time from its invocation on, or never. Output: one JSON line.
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	book = iota
	cancel
	read
)

const (
	ok = iota
	taken
	notHeld
	free
	busy
	unknown
)

const nobody = int64(-1)

type input struct {
	slot     int64
	function int64
	booking  int64
}

type record struct{ Slot, Function, Reply, Booking, Invoke, Complete int64 }

// The state of a slot is the booking that holds it.
var model = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[int64][]porcupine.Operation{}
		for _, op := range history {
			slot := op.Input.(input).slot
			parts[slot] = append(parts[slot], op)
		}
		found := make([][]porcupine.Operation, 0, len(parts))
		for _, part := range parts {
			found = append(found, part)
		}
		return found
	},
	Init: func() []interface{} { return []interface{}{nobody} },
	Step: func(state, in, out interface{}) []interface{} {
		holder, asked, reply := state.(int64), in.(input), out.(int64)
		same := []interface{}{holder}
		none := []interface{}{}
		when := func(holds bool, next []interface{}) []interface{} {
			if holds {
				return next
			}
			return none
		}
		switch asked.function {
		case book:
			made := []interface{}{asked.booking}
			switch {
			case reply == unknown && holder == nobody:
				return []interface{}{holder, asked.booking}
			case reply == unknown:
				return same
			case reply == ok:
				return when(holder == nobody, made)
			}
			return when(holder != nobody, same)
		case cancel:
			switch {
			case reply == unknown && holder == asked.booking:
				return []interface{}{holder, nobody}
			case reply == unknown:
				return same
			case reply == ok:
				return when(holder == asked.booking, []interface{}{nobody})
			}
			return when(holder != asked.booking, same)
		}
		return when(reply != free || holder == nobody, same)
	},
	Equal: func(one, other interface{}) bool { return one.(int64) == other.(int64) },
}

func main() {
	timeout := flag.Duration("timeout", 20*time.Second, "give up after this long")
	flag.Parse()
	history, err := load(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	deterministic := model.ToModel()
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(deterministic, history, *timeout)
	seconds := time.Since(began).Seconds()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	answer := map[string]interface{}{
		"verdict": string(result), "seconds": seconds, "ops": len(history), "peak_mb": float64(memory.Sys) / 1e6,
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		os.Exit(1)
	}
}

func load(path string) ([]porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	records := make([]record, size/48)
	if err := binary.Read(file, binary.LittleEndian, records); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	history := make([]porcupine.Operation, len(records))
	for at, each := range records {
		complete := each.Complete
		if each.Reply == unknown {
			complete = math.MaxInt64
		}
		history[at] = porcupine.Operation{
			ClientId: at, Input: input{each.Slot, each.Function, each.Booking}, Call: each.Invoke, Output: each.Reply,
			Return: complete,
		}
	}
	return history, nil
}
