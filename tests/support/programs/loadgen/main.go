// SPDX-License-Identifier: Apache-2.0

// loadgen makes HTTPS requests on N keep-alive connections, at a fixed rate or as fast as answers
// come, and checks every byte of every answer. Go has its own TLS, which the agent under test does
// not capture here, so that only the server's side of the load is observed.
//
// It prints one JSON object: sent, ok, failed, bytes of all messages, elapsed and latencies. With -log it writes a line
// "<id> <unix nanoseconds at sending>" for each request; the id is the last segment of the path.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type options struct {
	address     string
	host        string
	path        string
	run         string
	connections int
	rate        float64
	duration    time.Duration
	count       int64
	method      string
	body        []byte
	expect      []byte
}

type request struct {
	id string
	at int64
}

type outcome struct {
	requests  []request
	latencies []time.Duration
	ok        int64
	bytes     int64
	err       error
}

type report struct {
	Sent           int64   `json:"sent"`
	OK             int64   `json:"ok"`
	Failed         int64   `json:"failed"`
	Bytes          int64   `json:"bytes"`
	ElapsedSeconds float64 `json:"elapsed_seconds"`
	PerSecond      float64 `json:"per_second"`
	LatencyP50     float64 `json:"latency_p50_us"`
	LatencyP90     float64 `json:"latency_p90_us"`
	LatencyP99     float64 `json:"latency_p99_us"`
	LatencyMax     float64 `json:"latency_max_us"`
	Error          string  `json:"error"`
}

func main() {
	var o options
	var bodySize int
	var expectFile, logFile string
	flag.StringVar(&o.address, "address", "", "host:port to connect to")
	flag.StringVar(&o.path, "path", "/sized/1024", "path before the id")
	flag.StringVar(&o.run, "run", "r", "start of each id")
	flag.IntVar(&o.connections, "connections", 16, "keep-alive connections")
	flag.Float64Var(&o.rate, "rate", 0, "requests a second over all connections; 0: as fast as answers come")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "how long to send")
	flag.Int64Var(&o.count, "count", 0, "stop after so many requests; 0: no limit")
	flag.StringVar(&o.method, "method", "GET", "request method")
	flag.IntVar(&bodySize, "body", 0, "bytes of the request's body")
	flag.StringVar(&expectFile, "expect", "", "file that every answer's body must equal")
	flag.StringVar(&logFile, "log", "", "file for the ids and times of all requests")
	flag.Parse()
	o.host = o.address
	if bodySize > 0 {
		o.body = bytes.Repeat([]byte("0123456789abcdef"), bodySize/16+1)[:bodySize]
	}
	if expectFile != "" {
		expect, err := os.ReadFile(expectFile)
		if err != nil {
			fail(err)
		}
		o.expect = expect
	}
	r, requests := run(&o)
	if logFile != "" {
		if err := writeLog(logFile, requests); err != nil {
			fail(err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		fail(err)
	}
	if r.Failed > 0 {
		os.Exit(1)
	}
}

// run connects first and starts the clock when every connection stands.
func run(o *options) (report, []request) {
	connections := make([]*tls.Conn, o.connections)
	for i := range connections {
		// The certificate is not what is tested; verifying it would only cost time.
		c, err := tls.Dial("tcp", o.address, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
		if err != nil {
			fail(err)
		}
		connections[i] = c
	}
	var started atomic.Int64
	outcomes := make([]outcome, o.connections)
	var group sync.WaitGroup
	begin := time.Now()
	for i := range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			outcomes[i] = converse(o, connections[i], i, begin, &started)
		}()
	}
	group.Wait()
	elapsed := time.Since(begin)
	r := report{ElapsedSeconds: elapsed.Seconds()}
	var requests []request
	var latencies []time.Duration
	for _, one := range outcomes {
		r.Sent += int64(len(one.requests))
		r.OK += one.ok
		r.Bytes += one.bytes
		requests = append(requests, one.requests...)
		latencies = append(latencies, one.latencies...)
		if one.err != nil {
			r.Error = one.err.Error()
		}
	}
	r.Failed = r.Sent - r.OK
	r.PerSecond = float64(r.OK) / elapsed.Seconds()
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	r.LatencyP50, r.LatencyP90 = quantile(latencies, 0.50), quantile(latencies, 0.90)
	r.LatencyP99, r.LatencyMax = quantile(latencies, 0.99), quantile(latencies, 1)
	return r, requests
}

// converse sends on one connection until the time or the count is up.
func converse(o *options, c *tls.Conn, number int, begin time.Time, started *atomic.Int64) outcome {
	var done outcome
	defer c.Close()
	reader := bufio.NewReaderSize(c, 64<<10)
	buffer := make([]byte, 0, len(o.body)+512)
	answer := make([]byte, len(o.expect))
	interval := time.Duration(0)
	next := begin
	if o.rate > 0 {
		interval = time.Duration(float64(time.Second) * float64(o.connections) / o.rate)
		next = begin.Add(interval * time.Duration(number) / time.Duration(o.connections))
	}
	for n := 0; ; n++ {
		if wait := time.Until(next); wait > 0 {
			time.Sleep(wait)
		}
		if time.Since(begin) >= o.duration || (o.count > 0 && started.Add(1) > o.count) {
			return done
		}
		id := o.run + "-" + strconv.Itoa(number) + "-" + strconv.Itoa(n)
		buffer = append(buffer[:0], o.method...)
		buffer = append(buffer, ' ')
		buffer = append(buffer, o.path...)
		buffer = append(buffer, '/')
		buffer = append(buffer, id...)
		buffer = append(buffer, " HTTP/1.1\r\nHost: "...)
		buffer = append(buffer, o.host...)
		buffer = append(buffer, "\r\nUser-Agent: loadgen/1\r\nAccept: */*\r\n"...)
		if len(o.body) > 0 {
			buffer = append(buffer, "Content-Type: text/plain\r\nContent-Length: "...)
			buffer = strconv.AppendInt(buffer, int64(len(o.body)), 10)
			buffer = append(buffer, "\r\n"...)
		}
		buffer = append(buffer, "\r\n"...)
		buffer = append(buffer, o.body...)
		at := time.Now()
		done.requests = append(done.requests, request{id, at.UnixNano()})
		if _, err := c.Write(buffer); err != nil {
			done.err = err
			return done
		}
		length, err := readAnswer(reader, &answer, o.expect)
		if err != nil {
			done.err = fmt.Errorf("%s: %w", id, err)
			return done
		}
		done.bytes += int64(len(buffer) + length)
		done.latencies = append(done.latencies, time.Since(at))
		done.ok++
		next = next.Add(interval)
	}
}

// readAnswer reads one response with a Content-Length, compares its body with what is expected, and
// returns the length of the whole message.
func readAnswer(reader *bufio.Reader, buffer *[]byte, expect []byte) (int, error) {
	status, err := reader.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200") {
		return 0, errors.New(strings.TrimSpace(status))
	}
	head, length := len(status), -1
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		head += len(line)
		if len(line) <= 2 {
			break
		}
		const field = "content-length:"
		if len(line) > len(field) && strings.EqualFold(string(line[:len(field)]), field) {
			length, err = strconv.Atoi(strings.TrimSpace(string(line[len(field):])))
			if err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("no Content-Length")
	}
	if cap(*buffer) < length {
		*buffer = make([]byte, length)
	}
	body := (*buffer)[:length]
	if _, err := io.ReadFull(reader, body); err != nil {
		return 0, err
	}
	if expect != nil && !bytes.Equal(body, expect) {
		return 0, errors.New("the body is not the expected one")
	}
	return head + length, nil
}

func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))].Nanoseconds()) / 1000
}

func writeLog(name string, requests []request) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	writer := bufio.NewWriter(file)
	for _, one := range requests {
		fmt.Fprintln(writer, one.id, one.at)
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	return file.Close()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "loadgen:", err)
	os.Exit(2)
}
