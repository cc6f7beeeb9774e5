package sidecar

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd how it goes. Without systemd it does nothing.
type notifier struct{}

func (notifier) ready() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }

func (notifier) stopping() { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) }

// watchdog tells systemd that this process is alive, twice as often as it wants
// to hear it. It does not ask the cluster: to start again would not mend that.
func (notifier) watchdog(ctx context.Context) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
