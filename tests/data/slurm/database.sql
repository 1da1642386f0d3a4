create database slurm_acct;
create user 'slurm'@'127.0.0.1' identified by 'slurm';
grant all on slurm_acct.* to 'slurm'@'127.0.0.1';
