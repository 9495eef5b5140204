import { beforeEach, describe, expect, it } from 'vitest';
import { user } from '../../fixture/command-line.ts';

let { type } = user();
const shown = async (...args: string[]): Promise<string> => (await type(...args)).stdout;
const UTF8 = { LANG: 'C.UTF-8' };

beforeEach(() => {
  ({ type } = user());
});

describe('text', () => {
  it('shows the cluster', async () => {
    expect(await shown('cluster', 'show')).toMatchInlineSnapshot(`
      "  node  address        roles         server                data  repository free  position  state
        db1   10.0.0.1:7443  sql, primary  10.11.19-MariaDB  1.25 GiB         80.0 GiB  0-1-840   running
        db2   10.0.0.2:7443  sql           10.11.19-MariaDB  1.25 GiB         80.0 GiB  0-1-840   follows 10.0.0.1:3306, 0 ms behind

        db2: claimed by backup backup-20261121-091500-3fa94c01 of root@ops, pid 4711
        db2: restore restore-20261120-100100-77c01f2e waits to be finished, rolled back or resumed (stillpoint restore)
      "
    `);
  });

  it('shows a node that does not answer', async () => {
    ({ type } = user({ unreachable: 'db1' }));
    expect(await shown('cluster', 'show')).toMatchInlineSnapshot(`
      "  node  address        roles  server                data  repository free  position  state
        db1   10.0.0.1:7443                                                                NODE_UNREACHABLE
        db2   10.0.0.2:7443  sql    10.11.19-MariaDB  1.25 GiB         80.0 GiB  0-1-840   follows 10.0.0.1:3306, 0 ms behind

        db1: 10.0.0.1:7443 refuses the connection
          hint: Is the agent running there? Check the address in the cluster configuration and the firewall.
        db2: claimed by backup backup-20261121-091500-3fa94c01 of root@ops, pid 4711
        db2: restore restore-20261120-100100-77c01f2e waits to be finished, rolled back or resumed (stillpoint restore)
      "
    `);
  });

  it('shows checks', async () => {
    ({ type } = user({ unfit: 'db2' }));
    expect(await shown('cluster', 'check')).toMatchInlineSnapshot(`
      "db1
        ok       agent.version   as it should be
        ok       mariadb.backup  as it should be
      db2
        ok       agent.version   as it should be
        failed   mariadb.backup  lacks BINLOG MONITOR
                 hint: GRANT BINLOG MONITOR ON *.* TO stillpoint@localhost
      cluster
        ok       cluster.clocks  as it should be

      Not ready for a backup: 1 check failed.
      "
    `);
  });

  it('shows what a backup would do', async () => {
    expect(await shown('backup', 'create', '--dry-run')).toMatchInlineSnapshot(`
      "A backup of cluster shop would read 2.50 GiB on 2 nodes:

        node  roles         follows      data  capture      free  repository
        db1   sql, primary           1.25 GiB  locked   80.0 GiB  /backup/stillpoint
        db2   sql           db1      1.25 GiB  locked   80.0 GiB  /backup/stillpoint

      Capture of server of db1, server of db2 by locked: it was asked for.

        phase    nodes  writers  bound
        check    all    run
        quiesce  all    wait     5.00 s an attempt, 5 attempts
        capture  all    wait     within 1 m 00 s of the first lock of an attempt

      Writers wait at most 5.00 s for each attempt at the locks, and 1 m 00 s in all.
      Nothing was touched.
      "
    `);
  });

  it('shows how a backup went', async () => {
    const { typeWith } = user();
    expect((await typeWith(UTF8, 'backup', 'create')).stdout).toMatchInlineSnapshot(`
      "Set 20261121-091501-3fa94c01 is good: cluster shop, 2 nodes.

        operation       backup-20261121-091501-3fa94c01
        cut             2026-11-21 09:15:01 UTC
        data            2.50 GiB
        stored          1.06 GiB (42 %)
        writers waited  412 ms at most
        client waited   415 ms for a write on db1
        hold skew       14 ms
        took            12.3 s (207 MiB/s)

        node  roles         follows      data   stored   block  proven tables  position
        db1   sql, primary           1.25 GiB  541 MiB  412 ms            255  0-1-840
        db2   sql           db1      1.25 GiB  541 MiB  411 ms            255  0-1-840

        while writers waited    time  slowest node
        quiesce                31 ms  db1, 31 ms    ██
        capture               374 ms  db2, 374 ms   ████████████████████████
        resume                  4 ms

        without a lock    time  slowest node
        check           120 ms                █
        publish         5.48 s  db1, 5.48 s   ████████████████████████
      "
    `);
  });

  it('lists sets', async () => {
    expect(await shown('backup', 'list')).toMatchInlineSnapshot(`
      "No sets. Make one with \`stillpoint backup create\`; \`stillpoint backup list --rescan\` looks into the repositories.
      "
    `);
    await type('backup', 'create');
    await type('backup', 'create');
    expect(await shown('backup', 'list')).toMatchInlineSnapshot(`
      "  set                       state  cut                      nodes         data    stored   block
        20261121-091502-3fa94c01  good   2026-11-21 09:15:02 UTC  db1, db2  2.50 GiB  1.06 GiB  412 ms
        20261121-091501-3fa94c01  good   2026-11-21 09:15:01 UTC  db1, db2  2.50 GiB  1.06 GiB  412 ms
      "
    `);
    expect(await shown('backup', 'list', '--all')).toMatchInlineSnapshot(`
      "  set                       state   cut                      nodes         data    stored   block  reason
        20261121-091502-3fa94c01  good    2026-11-21 09:15:02 UTC  db1, db2  2.50 GiB  1.06 GiB  412 ms
        20261121-091501-3fa94c01  good    2026-11-21 09:15:01 UTC  db1, db2  2.50 GiB  1.06 GiB  412 ms
        20261120-010000-00c0ffee  failed                           db1, db2                              LOCK_TIMEOUT: db2: not granted within 5 s
      "
    `);
  });

  it('shows a set', async () => {
    await type('backup', 'create');
    expect(await shown('backup', 'show', 'latest')).toMatchInlineSnapshot(`
      "Set 20261121-091501-3fa94c01 of cluster shop, written by version 0.1.0

        operation       backup-20261121-091501-3fa94c01
        cut             2026-11-21 09:15:01 UTC
        data            2.50 GiB
        stored          1.06 GiB (42 %)
        writers waited  412 ms at most
        client waited   415 ms for a write on db1
        hold skew       14 ms

        node  roles         follows      data   stored   block  proven tables  position
        db1   sql, primary           1.25 GiB  541 MiB  412 ms            255  0-1-840
        db2   sql           db1      1.25 GiB  541 MiB  411 ms            255  0-1-840

        while writers waited    time  slowest node
        quiesce                31 ms  db1, 31 ms    ##
        capture               374 ms  db2, 374 ms   ########################
        resume                  4 ms

        without a lock    time  slowest node
        check           120 ms                #
        publish         5.48 s  db1, 5.48 s   ########################

      db1 on db1.example.org
        server      10.11.19-MariaDB, server id 1, /var/lib/mysql
        binary log  bin.000008:5655
        checksums   1 table

        file                        stored  sha256
        mariadb.full.mbstream.zst  541 MiB  cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd

        without checksum  why
        log.access        engine CSV has no checksum

      db2 on db2.example.org
        server      10.11.19-MariaDB, server id 2, /var/lib/mysql
        binary log  bin.000008:5655
        checksums   1 table

        file                        stored  sha256
        mariadb.full.mbstream.zst  541 MiB  cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd

        without checksum  why
        log.access        engine CSV has no checksum
      "
    `);
  });

  it('shows what a verification found', async () => {
    await type('backup', 'create');
    expect(await shown('backup', 'verify', 'latest')).toMatchInlineSnapshot(`
      "Sound: every byte of set 20261121-091501-3fa94c01 is as it was written (1.06 GiB).

        node     read  result
        db1   541 MiB  sound
        db2   541 MiB  sound
      "
    `);
    ({ type } = user({ damage: 'mariadb.full.mbstream.zst: 12 bytes are missing' }));
    await type('backup', 'create');
    expect(await shown('backup', 'verify', 'latest')).toMatchInlineSnapshot(`
      "Damaged: set 20261121-091501-3fa94c01 cannot be relied on.

        node     read  result
        db1   541 MiB  1 problem
        db2   541 MiB  sound

        db1: mariadb.full.mbstream.zst: 12 bytes are missing
      "
    `);
  });

  it('shows a deletion', async () => {
    await type('backup', 'create');
    expect(await shown('backup', 'delete', '20261121-091501-3fa94c01', '--yes')).toMatchInlineSnapshot(`
      "Set 20261121-091501-3fa94c01 is deleted; 1.06 GiB freed.
      "
    `);
  });

  it('shows a restore plan', async () => {
    await type('backup', 'create');
    expect(await shown('restore', 'plan', 'latest')).toMatchInlineSnapshot(`
      "Plan plan-1: cluster shop back to set 20261121-091501-3fa94c01

        cut            2026-11-21 09:15:01 UTC
        replication    SQL printed afterwards, for you to run
        configuration  put back on every node, what is found is kept aside

        node  roles         image          stored  version of set    installed         then follows         from position
        db1   sql, primary  its own part  541 MiB  10.11.19-MariaDB  10.11.19-MariaDB                       0-1-840
        db2   sql           part of db1   541 MiB  10.11.19-MariaDB  10.11.19-MariaDB  db1 (10.0.0.1:3306)  0-1-840

        node  into               needs      free  kept aside  server now
        db1   /var/lib/mysql  1.50 GiB  60.0 GiB    1.25 GiB  running
        db2   /var/lib/mysql  1.50 GiB  60.0 GiB    1.25 GiB  stopped

      warning: db2 will be read-write until you set read_only again

      Nothing was touched. To carry it out:

        stillpoint restore run plan-1 --stop-servers
      "
    `);
  });

  it('shows why a plan cannot be carried out', async () => {
    ({ type } = user({ problem: 'needs 1.50 GiB on /var/lib, 200 MiB are free' }));
    await type('backup', 'create');
    expect((await shown('restore', 'plan', 'latest')).split('\n').slice(-6)).toMatchInlineSnapshot(`
      [
        "problem: db2: needs 1.50 GiB on /var/lib, 200 MiB are free",
        "  hint: Make room.",
        "warning: db2 will be read-write until you set read_only again",
        "",
        "This plan cannot be carried out. Nothing was touched.",
        "",
      ]
    `);
  });

  it('shows how a restore went, and what to do next', async () => {
    await type('backup', 'create');
    await type('restore', 'plan', 'latest');
    expect(await shown('restore', 'run', 'plan-1', '--stop-servers')).toMatchInlineSnapshot(`
      "Restore restore-1 of set 20261121-091501-3fa94c01 is in place (1 m 05 s).

        node  image  restored  tables equal  position  kept
        db1   db1    1.25 GiB           255  0-1-840   /var/lib/mysql.before-restore-1
        db2   db1    1.25 GiB           255  0-1-840   /var/lib/mysql.before-restore-1

        db2: not compared: log.access: engine CSV has no checksum

      To be run on db2:
        SET GLOBAL gtid_slave_pos = '0-1-840';
        START SLAVE;

      What was there before is kept until you decide:
        go back     stillpoint restore rollback restore-1 --yes
        discard it  stillpoint restore finish restore-1 --yes
      "
    `);
    expect(await shown('restore', 'list')).toMatchInlineSnapshot(`
      "  operation  state     set                       started                  plan
        restore-1  switched  20261121-091501-3fa94c01  2026-11-21 10:01:00 UTC  plan-1
      "
    `);
    expect(await shown('restore', 'finish', 'restore-1', '--yes')).toMatchInlineSnapshot(`
      "Restore restore-1 of set 20261121-091501-3fa94c01 is finished: the data that was there before is discarded (1 m 05 s).

      2.50 GiB freed.
      "
    `);
  });
});
