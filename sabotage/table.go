package main

// promises are those of docs/promises.md, which make docs writes from here. Each has a file with the sabotages that
// break it. To add one, name a function, quote the smallest expression that breaks the promise for a user, and name a
// fast test that notices. `go run ./sabotage -run NAME` tries it.
var promises = []promise{
	promiseIsolation,
	promiseSecrets,
	promiseDestination,
	promiseOnePoll,
	promisePoliteness,
	promiseTruth,
	promiseFreshness,
	promiseBounds,
	promiseRelease,
	promiseErrors,
	promiseEnds,
	promiseCallers,
	promiseDialect,
}
