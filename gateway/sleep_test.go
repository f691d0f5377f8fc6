package gateway

import (
	"testing/synctest"
	"time"
)

// synctestSleep lets the bubble's clock go on and everything settle.
func synctestSleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
