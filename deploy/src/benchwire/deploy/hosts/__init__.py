"""Files for a lab of one host or many: ``benchwire deploy init OUT`` writes them from ``OUT/lab.toml``, or from its options.

::

    OUT/lab.toml                      the hosts, and which parts run on each
    OUT/admin/                        stays with whoever looks after the lab; 0700
        ca.key  ca.pem                the lab's own certificate authority
        admin.env  keys/admin.nk      the user that may make streams, and the one that may only look
        operator.env  keys/operator.nk
        keys/system.nk                the user of the account SYS
        keys/routes.password          what servers of a cluster show each other, beside their certificates
        tls/ca.pem tls/client.pem tls/client.key
    OUT/hosts/<host>/                 goes to /etc/benchwire of that host, as it is (--etc names another place)
        nats-server.conf              only where a NATS server runs: part "nats" or "leaf"; 0600, it may hold secrets
        <part>.env                    observability.env, documents.env, agent.env, flash-agent.env, backup.env: only of the parts of that host;
                                      nats.env where a NATS server runs: for ``benchwire deploy watch``, which counts what it refuses
        keys/<part>.nk                the nkey seed of that part, 0600; keys/leaf.nk where a leaf node runs (its seed is in nats-server.conf)
        tls/ca.pem
        tls/client.pem tls/client.key the certificate that the parts of this host show (key 0600)
        tls/server.pem tls/server.key only where a NATS server runs (key 0600)

The parts are ``nats``, ``leaf``, ``observability``, ``documents``, ``agent``, ``flash-agent`` and ``backup``. All paths inside the files are those on
the host: ``/etc/benchwire/…``; data is in ``/var/lib/benchwire`` (``--data``), the store of a NATS server in ``/var/lib/benchwire/nats``. Environment
files hold ``NAME=value`` lines without quotes, as systemd's ``EnvironmentFile=`` and Compose's ``env_file:`` take them. Ports: 4222 clients,
6222 cluster routes, 7422 leaf nodes, 8222 monitoring on loopback. What is there is kept: running it again adds hosts.
"""
