// Package measure tells what a process has used: for the programs in bench.
package measure

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Counters are what the process has used since it began.
type Counters struct {
	CPU     time.Duration
	Written int64 // octets, to the device; 0 where the system does not tell
}

// Usage returns the counters of this process.
func Usage() Counters {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // does not fail for oneself
	c := Counters{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano())}
	b, _ := os.ReadFile("/proc/self/io")
	for _, line := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			c.Written, _ = strconv.ParseInt(v, 10, 64)
		}
	}
	return c
}

// DirSize returns the octets that the files below a directory occupy.
func DirSize(dir string) (n int64) {
	_ = filepath.Walk(dir, func(_ string, i os.FileInfo, err error) error {
		if err == nil && !i.IsDir() {
			if st, ok := i.Sys().(*syscall.Stat_t); ok {
				n += st.Blocks * 512
			}
		}
		return nil
	})
	return n
}
