// Package ports gives tests port offsets that cannot meet.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Offset finds a port offset for one test. Offsets are multiples of 89 away
// from each other, so two of them never give the same port (the well-known
// ports differ modulo 89), and all ports stay below those that the system gives
// to clients. A listener on a port that nobody uses claims the offset against
// other tests until this one ends.
func Offset(t testing.TB) int {
	t.Helper()
	const first, step, slots = 10000, 89, 180
	for at, n := rand.IntN(slots), 0; n < slots; n++ {
		offset := first + step*((at+n)%slots)
		claim, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", offset+1))
		if err != nil {
			continue
		}
		if free(offset) {
			t.Cleanup(func() { claim.Close() })
			return offset
		}
		claim.Close()
	}
	t.Fatal("no free ports")
	return 0
}

func free(offset int) bool {
	for _, p := range []int{25, 80, 110, 143, 389, 443, 465, 587, 636, 993, 995, 3268, 3269} {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p+offset))
		if err != nil {
			return false
		}
		ln.Close()
	}
	return true
}
